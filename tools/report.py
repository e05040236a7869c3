"""What the tools print: tables, and on which machine they ran."""

import os
import platform
from pathlib import Path


def table(rows: list[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    """Aligned text; the first column to the left, the others to the right."""
    lines = [*([head] if head else []), *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]

    def aligned(line: tuple[str, ...]) -> str:
        first, *others = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join([first, *others])

    return "\n".join(aligned(line) for line in lines)


def machine() -> str:
    """Processor, cores, memory, system."""
    facts = [_processor(), f"{os.cpu_count()} cores"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        facts.append(f"{memory / 2**30:.0f} GiB of memory")
    facts.append(f"{platform.system()} {platform.release()}")
    return "machine: " + ", ".join(facts)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

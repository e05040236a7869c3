"""Whether each acknowledged event is in the lake exactly once, read from the files by an independent reader."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
from deltalake import DeltaTable


@dataclass
class Found:
    """Of a lake whose every event has an id of its own."""

    events: int
    ids: int

    def problems(self, acknowledged: int, unanswered: int) -> list[str]:
        """`unanswered`: events whose sender never got a reply; they may be there or not."""
        problems = []
        if self.events < acknowledged:
            problems.append(f"{acknowledged - self.events:,} acknowledged events are lost")
        if self.events > acknowledged + unanswered:
            problems.append(f"{self.events - acknowledged - unanswered:,} more events than were sent")
        if self.ids != self.events:
            problems.append(f"{self.events - self.ids:,} events are there twice")
        return problems


def read(folder: Path) -> Found:
    """Counts the events of the lake in `folder`, after its server has ended."""
    files = DeltaTable(str(folder / "lake" / "shard=00" / "events")).file_uris()
    with duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(folder / "counting")}) as connection:
        # 64 bits of each id: among 100 million ids two share them once in 4,000 runs, and then it says "twice".
        sql = "SELECT count(*), count(DISTINCT hash(tracking_id, event_id)) FROM read_parquet(?)"
        return Found(*connection.execute(sql, [files]).fetchone()) if files else Found(0, 0)

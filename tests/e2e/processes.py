"""Child processes of the tests: started with their output in a file, stopped by their own id."""

import os
import signal
import socket
import subprocess
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Free ports of the loopback interface, for servers that can't choose one themselves.

    They lie outside the range that systems hand out for port 0, so that none is taken in between.
    """
    held: list[tuple[int, socket.socket]] = []
    first = 10_000 + os.getpid() * 37 % 9_000
    for port in range(first, 20_000):
        candidate = socket.socket()
        try:
            candidate.bind(("127.0.0.1", port))
            held.append((port, candidate))
        except OSError:
            candidate.close()
        if len(held) == count:
            break
    for _, candidate in held:
        candidate.close()
    assert len(held) == count, f"only {len(held)} of {count} ports are free"
    return [port for port, _ in held]


class Process:
    """A running program whose stdout and stderr go to `log`."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None, cwd: Path | None = None):
        self.command, self.log = command, log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """`kill -9`."""
        self._child.kill()
        self._child.wait()

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM. Returns the exit code; negative: the signal that ended it."""
        if self.running:
            self._child.send_signal(signal.SIGTERM)
        return self._child.wait(seconds)

    def wait(self, seconds: float) -> int:
        """Waits until it ends by itself. Returns the exit code; negative: the signal that ended it."""
        return self._child.wait(seconds)

    def end(self) -> None:
        """For teardown: ends the process, whatever state it is in."""
        if self.running:
            self.kill()

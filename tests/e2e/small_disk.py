"""A small file system of its own for a server's state folder: a tmpfs, so that it can really get full.

It is mounted in a mount namespace that a process of ours holds open: nothing of it is visible outside, and nothing of
it is left when that process ends. That works for every user where the kernel allows user namespaces, else as root.
"""

import errno
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from lakes import Lake
from processes import Process
from server import Server, binary

PAGE = 4096


@dataclass
class SmallDisk:
    holder: Process
    # Where it is mounted, inside the mount namespace.
    inside: Path
    user: bool

    @property
    def folder(self) -> Path:
        """The same folder as seen from outside."""
        return Path(f"/proc/{self.holder.pid}/root{self.inside}")

    @property
    def enter(self) -> list[str]:
        """The prefix of a command that can see it."""
        who = ["--user", "--preserve-credentials"] if self.user else []
        return ["nsenter", f"--target={self.holder.pid}", "--mount", *who, "--wd=.", "--"]

    def fill(self) -> None:
        """Fills the disk to the last page."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for size in (1 << 20, PAGE):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def make_room(self) -> None:
        (self.folder / "filler").unlink()

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.folder).free


def mount(folder: Path, megabytes: int) -> SmallDisk:
    """Fails, saying what was tried, where neither way is open."""
    inside, refusals = folder / "disk", []
    inside.mkdir(parents=True)
    mounting = f"mount -t tmpfs -o size={megabytes}m,mode=700 footfall-test '{inside}'"
    script = f"{mounting} && echo mounted && exec sleep infinity"
    for user in (True, False):
        who = ["--user", "--map-root-user"] if user else []
        command = ["unshare", *who, "--mount", "--propagation=private", "sh", "-c", script]
        holder = Process(command, folder / f"disk-{user}.log")
        while holder.running and "mounted" not in holder.output():
            time.sleep(0.01)
        if holder.running:
            return SmallDisk(holder, inside, user)
        refusals.append(f"{' '.join(command[:-1])}: {holder.output().strip()}")
    raise AssertionError(
        "no small file system can be made here, so that a full disk can't be shown. Allow user namespaces (sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0, or user.max_user_namespaces), or run as root:\n"
        + "\n".join(refusals)
    )


class ServerOnSmallDisk(Server):
    """Its state folder lies on the small disk, its lake does not."""

    def __init__(self, disk: SmallDisk, lake: Lake, folder: Path, settings: dict[str, str]):
        super().__init__(lake, folder, settings)
        self.disk, self.state = disk, disk.folder / "state"

    def command(self) -> list[str]:
        inside = {str(self.state): str(self.disk.inside / "state")}
        return [*self.disk.enter, *(inside.get(part, part) for part in super().command())]

    def wal_verify(self) -> subprocess.CompletedProcess:
        command = [*self.disk.enter, str(binary()), "wal", "verify", "--state", str(self.disk.inside / "state")]
        return subprocess.run(command, capture_output=True, text=True, env=self.env, cwd=self.folder, timeout=60)

"""A Delta log read file by file, without any library: what every version was, and whether it was whole."""

import json
from dataclasses import dataclass, field

import pyarrow.parquet as pq
from pyarrow import fs

from lakes import EVENTS, Lake

# Versions that python deltalake opens for comparison: on S3 each of them costs a request for every commit before it.
COMPARED = 25


@dataclass
class Version:
    number: int
    # Path to rows, of every file of the table at this version.
    files: dict[str, int]
    added: set[str]
    # Path to rows, of what a merge has replaced.
    removed: dict[str, int]
    # The committed positions of the applications that this version names.
    positions: dict[str, int]
    # Our own id of the commit; the table's creation has none.
    commit: str | None


@dataclass
class History:
    """All versions of the events table, from the first."""

    lake: Lake
    versions: list[Version] = field(default_factory=list)

    def check(self) -> None:
        """No gap, no commit twice, positions that only grow, merges that lose nothing, and versions of whole files."""
        assert [version.number for version in self.versions] == list(range(len(self.versions)))
        commits = [version.commit for version in self.versions if version.commit]
        assert len(commits) == len(set(commits)), "a commit is there twice"
        self._check_positions()
        self._check_merges()
        self._check_files()
        self._compare_with_deltalake()

    def _check_positions(self) -> None:
        reached: dict[str, int] = {}
        for version in self.versions:
            for application, position in version.positions.items():
                before = reached.get(application, 0)
                # A compactor's epoch is the same for as long as it holds the lease.
                grows = position >= before if application.startswith("footfall-compactor") else position > before
                assert grows, f"version {version.number} takes {application} from {before} to {position}"
                reached[application] = position

    def _check_merges(self) -> None:
        """These tests send no event twice but for retries, which the writer recognizes."""
        for version in self.versions:
            if version.removed:
                rows = sum(version.files[path] for path in version.added)
                assert rows == sum(version.removed.values()), f"version {version.number} loses or doubles events"

    def merges(self) -> int:
        return sum(bool(version.removed) for version in self.versions)

    def _check_files(self) -> None:
        """Every file that ever belonged to the table has the rows that its commit says."""
        seen: set[str] = set()
        for version in self.versions:
            assert not version.added & seen, f"version {version.number} adds a file again: {version.added & seen}"
            seen |= version.added
            for path in version.added:
                rows = pq.read_metadata(f"{self.lake.root}/{EVENTS}/{path}", filesystem=self.lake.files).num_rows
                assert rows == version.files[path], f"{path} has {rows} rows, version {version.number} says otherwise"

    def _compare_with_deltalake(self) -> None:
        step = max(1, len(self.versions) // COMPARED)
        for version in [*self.versions[::step], self.versions[-1]]:
            table = self.lake.delta_table()
            table.load_as_version(version.number)
            actions = table.get_add_actions(flatten=True)
            found = dict(zip(actions["path"].to_pylist(), actions["num_records"].to_pylist(), strict=True))
            assert found == version.files, f"python deltalake reads version {version.number} differently"

    def orphans(self) -> list[str]:
        """Files that no version names, left by a flush that a crash interrupted. No reader sees them."""
        named = set().union(*(version.added for version in self.versions))
        found = self.lake.files.get_file_info(fs.FileSelector(f"{self.lake.root}/{EVENTS}", recursive=True))
        paths = [file.path.removeprefix(f"{self.lake.root}/{EVENTS}/") for file in found if file.is_file]
        return [path for path in paths if path.endswith(".parquet") and "_delta_log" not in path and path not in named]

    def checkpoints(self) -> int:
        found = self.lake.files.get_file_info(fs.FileSelector(f"{self.lake.root}/{EVENTS}/_delta_log"))
        return sum(".checkpoint" in file.base_name and file.extension == "parquet" for file in found)


def read(lake: Lake) -> History:
    """Replays all commits. None has been cleaned away: the table is younger than the Delta log's retention."""
    history, files = History(lake), {}
    folder = f"{lake.root}/{EVENTS}/_delta_log"
    names = sorted(file.path for file in lake.files.get_file_info(fs.FileSelector(folder)) if file.extension == "json")
    for path in names:
        with lake.files.open_input_stream(path) as stream:
            actions = [json.loads(line) for line in stream.read().splitlines() if line]
        adds = [action["add"] for action in actions if "add" in action]
        removed = {action["remove"]["path"]: files[action["remove"]["path"]] for action in actions if "remove" in action}
        txns = [action["txn"] for action in actions if "txn" in action]
        files = {path: rows for path, rows in files.items() if path not in removed}
        files |= {add["path"]: json.loads(add["stats"])["numRecords"] for add in adds}
        (info,) = [action["commitInfo"] for action in actions if "commitInfo" in action]
        history.versions.append(
            Version(
                number=int(path.rsplit("/", 1)[1].removesuffix(".json")),
                files=files,
                added={add["path"] for add in adds},
                removed=removed,
                positions={txn["appId"]: txn["version"] for txn in txns if not txn["appId"].endswith("/fingerprint")},
                commit=info.get("footfallCommit"),
            )
        )
    return history

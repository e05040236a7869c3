"""Locations of lakes, and what independent readers of Delta tables see there."""

import functools
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from pyarrow import fs

import seaweed

# Relative to the root of the lake.
EVENTS = "shard=00/events"


@dataclass
class Lake:
    """A location that `footfall serve --data` takes."""

    data: str
    # The same location as a file system path.
    files: fs.FileSystem
    root: str
    # What the server needs to reach it.
    env: dict[str, str] = field(default_factory=dict)
    # The same for python deltalake.
    storage_options: dict[str, str] = field(default_factory=dict)
    # The same for DuckDB.
    duckdb_setup: str = ""

    @property
    def events(self) -> str:
        return f"{self.data}/{EVENTS}"

    def behind(self, endpoint: str) -> "Lake":
        """The same lake on S3; the server reaches it by this address, everybody else goes straight to it."""
        return replace(self, env=self.env | {"FOOTFALL_S3__ENDPOINT": endpoint})

    def has(self, path: str) -> bool:
        """Whether the events table has this file."""
        return self.files.get_file_info(f"{self.root}/{EVENTS}/{path}").is_file

    def delta_table(self) -> DeltaTable:
        return DeltaTable(self.events, storage_options=self.storage_options)

    def delta_events(self, columns: list[str] | None = None) -> pa.Table:
        """The events as python deltalake reads them."""
        return self.delta_table().to_pyarrow_table(columns=columns)

    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """DuckDB with a view `events` of the table as its delta extension reads it."""
        connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        for extension in ("httpfs", "delta"):
            connection.load_extension(_packaged(extension))
        if self.duckdb_setup:
            connection.execute(self.duckdb_setup)
        connection.execute(f"CREATE VIEW events AS SELECT * FROM delta_scan('{self.events}')")
        return connection


def local(folder: Path) -> Lake:
    return Lake(data=str(folder), files=fs.LocalFileSystem(), root=str(folder))


def s3(server: seaweed.SeaweedFS, prefix: str) -> Lake:
    keys = {"AWS_ACCESS_KEY_ID": seaweed.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": seaweed.SECRET_KEY}
    return Lake(
        data=f"s3://{seaweed.BUCKET}/{prefix}",
        files=server.filesystem(),
        root=f"{seaweed.BUCKET}/{prefix}",
        env=keys
        | {
            "FOOTFALL_S3__ENDPOINT": server.endpoint,
            "FOOTFALL_S3__REGION": seaweed.REGION,
            "FOOTFALL_S3__ALLOW_HTTP": "true",
        },
        storage_options=keys
        | {"AWS_ENDPOINT_URL": server.endpoint, "AWS_REGION": seaweed.REGION, "AWS_ALLOW_HTTP": "true"},
        duckdb_setup=(
            f"CREATE SECRET (TYPE s3, KEY_ID '{seaweed.ACCESS_KEY}', SECRET '{seaweed.SECRET_KEY}', "
            f"REGION '{seaweed.REGION}', ENDPOINT '{server.endpoint.removeprefix('http://')}', "
            "USE_SSL false, URL_STYLE 'path')"
        ),
    )


@functools.cache
def _packaged(extension: str) -> str:
    """The extension's file inside its PyPI package: nothing is downloaded at run time."""
    package = Path(import_module(f"duckdb_extension_{extension}").__file__).parent
    (found,) = package.rglob(f"{extension}.duckdb_extension")
    return str(found)

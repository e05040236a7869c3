"""Large files on a real S3 server, written in parts by the file writer and read by another reader."""

import os
import subprocess
from pathlib import Path

import pyarrow.compute as pc
from deltalake import DeltaTable
from pyarrow import fs

import lakes

# More than ten parts.
MIB = 96


def test_large_file_on_s3(s3_server):
    lake = lakes.s3(s3_server, "file-writer")
    command = "cargo test --locked --profile demo --workspace --test s3 -- --ignored"
    settings = {"FOOTFALL_TEST_LAKE": lake.data, "FOOTFALL_TEST_MIB": str(MIB)}
    env = os.environ | lake.storage_options | settings
    root = Path(__file__).parents[2]
    done = subprocess.run(command.split(), cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr

    table = DeltaTable(f"{lake.data}/shard=00/large", storage_options=lake.storage_options)
    numbers = table.to_pyarrow_table(columns=["n"])["n"]
    assert len(numbers) >= MIB * 1024 * 1024 // 8
    assert pc.count_distinct(numbers).as_py() == len(numbers)
    assert (pc.min(numbers).as_py(), pc.max(numbers).as_py()) == (0, len(numbers) - 1)

    files = [info.base_name for info in lake.files.get_file_info(fs.FileSelector(f"{lake.root}/shard=00/large", recursive=True))]
    assert [name for name in files if name.endswith(".parquet") and "checkpoint" not in name] == ["large.parquet"]

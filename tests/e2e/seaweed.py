"""A real S3 server on this machine: SeaweedFS, from its PyPI package.

Its conditional PUT (`If-None-Match: *`), which Delta commits rely on, answers 412 where there is an object.
"""

import json
import os
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

import urllib3
from pyarrow import fs

from processes import Process, free_ports

BUCKET = "lake"
REGION = "us-east-1"
ACCESS_KEY = "footfall-tests"
SECRET_KEY = "not-a-secret-of-anybody"


@dataclass
class SeaweedFS:
    process: Process
    endpoint: str

    def filesystem(self) -> fs.S3FileSystem:
        return fs.S3FileSystem(
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            region=REGION,
            endpoint_override=self.endpoint,
            allow_bucket_creation=True,
        )


def start(folder: Path) -> SeaweedFS:
    """A server with an empty bucket; all its files lie in `folder`, all its ports on the loopback interface."""
    identities = folder / "s3.json"
    identities.write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": "footfall",
                        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    }
                ]
            }
        )
    )
    data = folder / "data"
    data.mkdir()
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = free_ports(8)
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    command = [
        str(weed), "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.volumeSizeLimitMB=64",
        f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-volume.max=100", "-volume.preStopSeconds=0",
        f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}", f"-filer.localSocket={folder}/filer.sock",
        "-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", f"-s3.localSocket={folder}/s3.sock",
        f"-s3.config={identities}", "-s3.port.iceberg=0", "-s3.port.lance=0",
    ]  # fmt: skip
    # SeaweedFS looks for settings in the home folder and the current one.
    env = os.environ | {"HOME": str(folder)}
    process = Process(command, folder / "weed.log", env=env, cwd=folder)
    server = SeaweedFS(process, f"http://127.0.0.1:{s3}")
    try:
        _create_bucket(server)
    except BaseException:
        process.end()
        raise
    return server


def _create_bucket(server: SeaweedFS, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    pool = urllib3.PoolManager(retries=False, timeout=2)
    while True:
        assert server.process.running, f"SeaweedFS ended:\n{server.process.output()[-4000:]}"
        try:
            if pool.request("GET", f"{server.endpoint}/healthz").status == 200:
                files = server.filesystem()
                files.create_dir(BUCKET)
                # The first object makes SeaweedFS lay out its volumes, which takes seconds on a busy machine.
                with files.open_output_stream(f"{BUCKET}/first") as first:
                    first.write(b"warm")
                return
        except (urllib3.exceptions.HTTPError, OSError) as error:
            failure = error
        else:
            failure = None
        assert time.monotonic() < deadline, (
            f"SeaweedFS does not answer after {seconds} s ({failure}):\n{server.process.output()[-4000:]}"
        )
        time.sleep(0.1)

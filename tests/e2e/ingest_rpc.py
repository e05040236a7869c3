"""The gRPC client, generated from the repository's own .proto."""

import functools
import importlib
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import grpc
from grpc_tools import protoc

from server import Server

PROTO = Path(__file__).parents[2] / "proto"

_folder = tempfile.TemporaryDirectory(prefix="footfall-stubs-")


@functools.cache
def stubs() -> tuple[ModuleType, ModuleType]:
    """Messages and services of `footfall.v1`."""
    out = _folder.name
    arguments = [f"--proto_path={PROTO}", f"--python_out={out}", f"--grpc_python_out={out}"]
    code = protoc.main(["protoc", *arguments, str(PROTO / "footfall/v1/ingest.proto")])
    assert code == 0, f"protoc failed with {code}"
    sys.path.insert(0, out)
    names = ("footfall.v1.ingest_pb2", "footfall.v1.ingest_pb2_grpc")
    messages, services = (importlib.import_module(name) for name in names)
    return messages, services


def publish(server: Server, batches: Iterable, token: str | None = None):
    """Streams `EventBatch`es; returns the `PublishSummary`."""
    _, services = stubs()
    metadata = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(server.flight.split("://", 1)[1]) as channel:
        return services.IngestServiceStub(channel).Publish(iter(batches), timeout=60, metadata=metadata)

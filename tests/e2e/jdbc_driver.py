"""The Flight SQL JDBC driver from Maven Central, and a program that uses it."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "jdbc" / "JdbcCheck.java"
JARS = Path(__file__).parents[2] / ".test" / "jdbc"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy"

# Version to SHA-256.
DRIVERS = {
    "18.1.0": "55e19f0a1feb2ded92c53a8e53b04a9247269852fa140da061b2832a3ac306a3",
    "18.3.0": "3f418b46c880e263558c5de669bdbede2c5d4375527ced116fb29f795b03704c",
}


def jar(version: str) -> Path:
    """The driver's jar; fetched once."""
    path = JARS / f"flight-sql-jdbc-driver-{version}.jar"
    if not path.exists():
        artifact = f"org.apache.arrow:flight-sql-jdbc-driver:{version}"
        run(tool("mvn"), "--batch-mode", "--quiet", COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={JARS}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == DRIVERS[version], f"{path} is not the driver that these tests know: remove it and run them again"
    return path


def compiled(folder: Path) -> Path:
    run(tool("javac"), "--release", "17", "-Xlint:all", "-Werror", "-d", folder, SOURCE)
    return folder


def check(driver: Path, classes: Path, zone: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs `JdbcCheck` in a JVM whose time zone is `zone`."""
    command = [
        tool("java"), "--add-opens=java.base/java.nio=ALL-UNNAMED", f"-Duser.timezone={zone}", "-Xmx512m",
        "-cp", f"{driver}:{classes}", SOURCE.stem, *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def tool(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.fail(f"{name} is missing: install a JDK of version 17 or newer and Maven", pytrace=False)
    return found


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"

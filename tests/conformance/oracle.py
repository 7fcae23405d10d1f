"""A Java process on kafka-clients' classes that answers one line with one line."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aioproducer.testing._real_kafka import fetch_jars, java_command

if TYPE_CHECKING:
    from collections.abc import Generator


class Process:
    """It says "ok" and its answer, or anything else and why there is none."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, question: str) -> tuple[bool, str]:
        """Return whether it could answer, and what it said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        verdict, _, rest = self._process.stdout.readline().rstrip("\n").partition(" ")
        return verdict == "ok", rest


@contextmanager
def started(source: Path, folder: Path) -> Generator[Process]:
    """Compile the class of a source file into the folder and run it; without a compiler the test is left out."""
    compiler = shutil.which("javac", path=str(Path(java_command()).resolve().parent)) or shutil.which("javac")
    if compiler is None:
        missing = "javac missing: `make system`"
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    jars = f"{fetch_jars()}/*"
    subprocess.run([compiler, "-cp", jars, "-d", str(folder), str(source)], check=True, timeout=60)
    path = f"{folder}{os.pathsep}{jars}"
    command = [java_command(), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", path, source.stem]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()

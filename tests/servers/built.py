"""What tests fetch and build once, in the cache folder where Kafka's jars are too.

A marker that is written last tells that a folder is complete; a build that failed leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aioproducer.testing._jars import cache_folder, file_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BUILD_SECONDS: Final = 600


def built(name: str, build: Callable[[Path], None]) -> Path:
    """Return the folder of this name, which `build` fills the first time. Processes that ask at once build once.

    Args:
        name: with the versions of all that is in it: nothing is ever built anew in a folder that is complete.
        build: is given an empty folder; it may not be moved to the final one's place before it is complete.
    """
    folder = cache_folder() / name
    if not (folder / "complete").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(folder.with_name(f"{name}.lock")):
            if not (folder / "complete").exists():
                _build(folder, build)
    return folder


def _build(folder: Path, build: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as work:
        filled = Path(work) / "filled"
        filled.mkdir()
        build(filled)
        (filled / "complete").touch()
        shutil.rmtree(folder, ignore_errors=True)
        filled.rename(folder)


def run(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
    """Run a command of a build; what it printed is told when it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")

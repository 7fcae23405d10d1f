"""What is written and told is what it was: the first digests of the file, and that one byte more would be seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.digest import FILE, Digest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_histories_are_what_they_were() -> None:
    command = [sys.executable, "-m", "tests.simulation.digest", "--histories", "200", "--processes", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"{done.stdout}{done.stderr}: if that is meant, renew the file with `python -m tests.simulation.digest --write`"
    )


def test_the_file_has_a_line_for_every_fifty_histories() -> None:
    kinds = [line.split()[0] for line in FILE.read_text().splitlines()]
    assert (kinds.count("core"), kinds.count("producer"), kinds.count("transactions")) == (40, 30, 10)


def test_another_byte_is_another_digest() -> None:
    first, second = Digest(), Digest()
    first.add(1.0, 0, b"ab")
    second.add(1.0, 0, b"ac")
    assert first.hex() != second.hex()


def test_errors_are_told_apart_by_what_programs_look_at() -> None:
    error = OSError("words do not count")
    same = OSError("other words")
    first, second = Digest(), Digest()
    first.add_error(error)
    second.add_error(same)
    assert first.hex() == second.hex()
    second.add_error(None)
    assert first.hex() != second.hex()

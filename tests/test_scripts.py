"""`make test`, `make system` and the virtual environment, each with stand-ins for the programs they call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from scripts import run_tests

ROOT: Final = Path(__file__).parents[1]
MAKEFILE: Final = """
check:
	@echo checking
test-fast:
	@{fast}
	@echo '===== 3 passed in 0.1s ====='
test-kafka:
	@echo '===== 1 passed in 0.1s ====='
"""
BUSY: Final = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"


def run_parts(
    place: Path, fast: str = "true", *, limit: float = 1.0, missing: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run scripts/run_tests.py where the Makefile does next to nothing."""
    (place / "Makefile").write_text(MAKEFILE.format(fast=fast))
    program = (
        f"import sys; from scripts import run_tests as r; r.LIMIT_CPU_MINUTES = {limit}\n"
        f"r.programs = lambda: [r.Program('java', {bool(missing)}, {missing!r})]\nsys.exit(r.main())"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "REQUIRE_ALL": "", "MAKEFLAGS": "", **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_all_parts_run_and_the_last_lines_are_the_summaries(tmp_path: Path) -> None:
    done = run_parts(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2:] == ["===== 3 passed in 0.1s =====", "===== 1 passed in 0.1s ====="]
    assert [line.split()[0] for line in done.stdout.splitlines() if " CPU min " in line] == [*run_tests.PARTS, "total"]


def test_a_failed_part_fails_them_and_the_others_run(tmp_path: Path) -> None:
    done = run_parts(tmp_path, "false")
    assert done.returncode == 1
    assert "1 passed" in done.stdout
    assert "test-fast" in next(line for line in done.stdout.splitlines() if line.endswith("FAILED"))


def test_more_processor_time_than_the_limit_fails_them(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(BUSY)
    done = run_parts(tmp_path, f"{sys.executable} busy.py", limit=0.3 / 60)
    assert done.returncode == 1
    assert "FAILED: above" in done.stdout


def test_time_that_only_passes_does_not(tmp_path: Path) -> None:
    assert run_parts(tmp_path, "sleep 0.5", limit=0.5 / 60).returncode == 0


def test_what_is_missing_is_told_in_a_line_of_its_own_and_left_out(tmp_path: Path) -> None:
    done = run_parts(tmp_path, missing=run_tests.REAL_KAFKA)
    assert done.returncode == 0
    assert "NOT TESTED: real Kafka, java is missing: `make system`" in done.stdout.splitlines()
    assert "1 passed" not in done.stdout


def test_what_is_missing_fails_them_where_all_is_required(tmp_path: Path) -> None:
    done = run_parts(tmp_path, missing="something", REQUIRE_ALL="1")
    assert done.returncode == 1
    assert "NOT TESTED: something" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to another process than init")
def test_the_time_of_an_orphan_counts_once_it_has_ended(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(BUSY)
    (tmp_path / "orphan.py").write_text(
        "import subprocess, sys\nsubprocess.Popen([sys.executable, 'busy.py'], start_new_session=True)\n"
    )
    done = run_parts(tmp_path, f"{sys.executable} orphan.py; sleep 2", limit=0.3 / 60)
    assert done.returncode == 1, done.stdout
    assert "FAILED: above" in done.stdout


# ── make system ──────────────────────────────────────────────────────────────────────────────────────────────────────


def system(place: Path, *programs: str, user_id: int = 0) -> str:
    """Run scripts/system where only these programs are."""
    for name in (*programs, "java", "mvn", "krb5kdc", "kadmin.local"):
        (place / name).write_text('#!/bin/sh\necho "$(basename $0) $*"\n')
    (place / "id").write_text(f"#!/bin/sh\necho {user_id}\n")
    (place / "python3").write_text("#!/bin/sh\n")
    for each in place.iterdir():
        each.chmod(0o755)
    (place / "basename").symlink_to("/usr/bin/basename")
    environment = {"PATH": str(place), "SBIN": str(place)}
    return subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "system")], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_system_installs_what_is_missing_as_root_on_debian(tmp_path: Path) -> None:
    told = system(tmp_path, "apt-get", "gcc", "krb5-config")
    assert told.splitlines() == [
        "apt-get update -qq",
        "apt-get install -y -qq --no-install-recommends default-jdk-headless",
    ]


def test_system_prints_the_command_to_others(tmp_path: Path) -> None:
    assert system(tmp_path, "apt-get", "javac", "gcc", user_id=1) == (
        "system: not root; run: apt-get install libkrb5-dev\n"
    )


def test_system_names_the_packages_where_debian_is_not(tmp_path: Path) -> None:
    assert system(tmp_path, "javac", "krb5-config").endswith(
        "install what these packages of Debian have: gcc libc6-dev\n"
    )


def test_system_does_nothing_where_all_is_there(tmp_path: Path) -> None:
    assert system(tmp_path, "apt-get", "javac", "gcc", "krb5-config") == (
        "system: java, javac, mvn, gcc and a KDC are there\n"
    )


# ── the virtual environment ──────────────────────────────────────────────────────────────────────────────────────────

PYTHON: Final = """#!/bin/sh
if test "$1" = -c; then echo "/usr 3 {minor} 0"; exit; fi
echo "$*" >> {log}
mkdir -p .venv/bin
cp "$0" .venv/bin/python
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with the Makefile alone."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    return tmp_path


def make_environment(tree: Path, minor: int) -> list[str]:
    """Have make look after .venv with a Python of this version; returns what that was called with, all along."""
    python, log = tree / f"python3.{minor}", tree / "log"
    python.write_text(PYTHON.format(minor=minor, log=log))
    python.chmod(0o755)
    log.touch()
    subprocess.run(
        ["make", "-s", ".venv/.made-of", f"PYTHON3={python}"], cwd=tree, check=True, env={**os.environ, "MAKEFLAGS": ""}
    )
    return log.read_text().splitlines()


def test_an_environment_is_made_once(tree: Path) -> None:
    assert make_environment(tree, 11) == ["-m venv --clear .venv"]
    assert make_environment(tree, 11) == ["-m venv --clear .venv"]


def test_an_environment_of_another_python_is_made_again(tree: Path) -> None:
    make_environment(tree, 11)
    before = (tree / ".venv" / ".made-of").stat().st_mtime_ns
    assert make_environment(tree, 12) == ["-m venv --clear .venv"] * 2
    assert (tree / ".venv" / ".made-of").read_text() == "/usr 3 12 0\n"
    assert (tree / ".venv" / ".made-of").stat().st_mtime_ns > before


def test_an_environment_that_was_there_before_is_kept_as_it_is(tree: Path) -> None:
    make_environment(tree, 11)
    (tree / ".venv" / ".made-of").unlink()
    assert make_environment(tree, 11) == ["-m venv --clear .venv"]
    assert (tree / ".venv" / ".made-of").stat().st_mtime < 1_000_000_000, "nothing is to be installed again for it"

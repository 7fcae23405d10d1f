"""What `make test` does: runs each part, tells what it took, and what was not tested and why.

All parts run, also after one has failed. The last lines are the verdicts, what was not tested, and pytest's own
summaries. The limit is on processor time: what the tests cost, however many others use the machine; the clock is told.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

PARTS: Final = ("check", "test-fast", "test-kafka")
LIMIT_CPU_MINUTES: Final = 46.0
_SUMMARY: Final = re.compile(r"^=+ .*\b(passed|failed|error|errors|skipped|deselected|no tests ran)\b.* in .*=+$")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_PR_SET_CHILD_SUBREAPER: Final = 36


class Program(NamedTuple):
    """What a part of the tests needs besides Python, and what is not tested where it is missing."""

    name: str
    is_missing: bool
    untested: str
    remedy: str = "`make system`"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one part went; `summary` is pytest's last line, empty for a part that is not pytest's."""

    part: str
    cpu_minutes: float
    minutes: float
    is_ok: bool
    summary: str


def main() -> int:
    """Run all parts; the exit status is 0 when each succeeded within the limit.

    With REQUIRE_ALL=1 whatever is missing fails them, too.
    """
    is_required = os.environ.get("REQUIRE_ALL") == "1"
    notices = missing_programs()
    parts = [part for part in PARTS if part != "test-kafka" or is_required or not any(REAL_KAFKA in n for n in notices)]
    adopt_orphans()
    outcomes = [run(part) for part in parts]
    report(outcomes, notices)
    is_ok = all(outcome.is_ok for outcome in outcomes) and cpu_of(outcomes) <= LIMIT_CPU_MINUTES
    return 0 if is_ok and not (notices and is_required) else 1


# ── what is missing ──────────────────────────────────────────────────────────────────────────────────────────────────

REAL_KAFKA: Final = "real Kafka"


def missing_programs() -> list[str]:
    """A line for each program that tests need and that is not there."""
    return [
        f"NOT TESTED: {program.untested}, {program.name} is missing: {program.remedy}"
        for program in programs()
        if program.is_missing
    ]


def programs() -> list[Program]:
    """What the tests need besides Python."""
    from aioproducer.testing import _real_kafka
    from tests.servers import kerberos, oidc

    has_java = _is_given_kafka() or _real_kafka.has_java()
    has_jars = _is_given_kafka() or _real_kafka.has_jars() or _real_kafka.has_maven()
    return [
        Program("java", not has_java, REAL_KAFKA),
        Program("mvn", not has_jars, REAL_KAFKA),
        Program("javac", not _has_javac(), "bytes beside those of Kafka's own classes"),
        Program("node", not oidc.has_node(), "OIDC provider", f"Node {oidc.OLDEST_NODE} with npm, of any source"),
        Program(kerberos.missing_program() or "krb5kdc", kerberos.missing_program() != "", "Kerberos"),
    ]


def _is_given_kafka() -> bool:
    return bool(os.environ.get("KAFKA_BOOTSTRAP_SERVERS"))


def _has_javac() -> bool:
    from aioproducer.testing import _real_kafka

    beside = Path(_real_kafka.java_command()).resolve().parent if _real_kafka.has_java() else None
    return shutil.which("javac") is not None or shutil.which("javac", path=str(beside)) is not None


# ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def run(part: str) -> Outcome:
    """Run one target of the Makefile, passing its output through."""
    print(f"\n──── {part} ────", flush=True)
    started, cpu_before = time.monotonic(), cpu_seconds()
    summary = ""
    with subprocess.Popen(["make", "--no-print-directory", part], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            plain = _COLOUR.sub("", line.rstrip())
            summary = plain if _SUMMARY.match(plain) else summary
    reap_orphans()
    cpu = cpu_seconds() - cpu_before
    return Outcome(part, cpu / 60, (time.monotonic() - started) / 60, process.returncode == 0, summary)


def cpu_seconds() -> float:
    """Processor time of all processes that were started from here, at any depth, and have been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def adopt_orphans() -> None:
    """Become the parent of processes whose own has ended: their time counts once they are waited for.

    pytest waits for its workers, and a test for what it has started, as a rule. A worker that crashes does not, and a
    guard kills the brokers of a process that was killed. Only Linux can; elsewhere these few are not counted.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans() -> None:
    """Wait for those that have ended; others have no part in what was measured."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def cpu_of(outcomes: list[Outcome]) -> float:
    """Processor minutes of all parts."""
    return sum(outcome.cpu_minutes for outcome in outcomes)


def report(outcomes: list[Outcome], notices: list[str]) -> None:
    """Print the verdicts, what was not tested, and pytest's summaries last."""
    print()
    for outcome in outcomes:
        verdict = "ok" if outcome.is_ok else "FAILED"
        print(f"{outcome.part:12} {outcome.cpu_minutes:5.1f} CPU min {outcome.minutes:5.1f} min  {verdict}")
    total, minutes = cpu_of(outcomes), sum(outcome.minutes for outcome in outcomes)
    verdict = "ok" if total <= LIMIT_CPU_MINUTES else f"FAILED: above {LIMIT_CPU_MINUTES:g} CPU min"
    print(f"{'total':12} {total:5.1f} CPU min {minutes:5.1f} min  {verdict}")
    for notice in notices:
        print(notice)
    for outcome in outcomes:
        if outcome.summary:
            print(outcome.summary)


if __name__ == "__main__":
    sys.exit(main())

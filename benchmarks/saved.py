"""A whole measurement as a file: benchmarks/results/DATE.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.machine import ROOT
from benchmarks.runner import Result
from benchmarks.special import Special

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one command has measured.

    Attributes:
        machine: date, commit, versions, processor, load.
        command: the arguments.
        special: None when only cases were run.
    """

    machine: dict[str, Any]
    command: list[str]
    results: list[Result]
    special: Special | None

    def result(self, case: str, broker: str) -> Result | None:
        """Return the runs of a case against a broker, if it was run."""
        return next((each for each in self.results if (each.case, each.broker) == (case, broker)), None)

    def save(self) -> Path:
        """Write it, by its date."""
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{str(self.machine['date'])[:16].replace(':', '')}.json"
        rounded = json.loads(json.dumps(asdict(self)), parse_float=lambda text: float(f"{float(text):.5g}"))
        path.write_text(json.dumps(rounded, indent=1) + "\n")
        return path


def load(path: Path) -> Measurement:
    """Read what `save` wrote."""
    data = json.loads(path.read_text())
    special = data["special"] and Special(**data["special"])
    return Measurement(data["machine"], data["command"], [Result(**each) for each in data["results"]], special)

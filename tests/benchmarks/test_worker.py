"""Every client's program runs: a moment of each, against the sink."""

from __future__ import annotations

import dataclasses
import json
import pstats
from typing import TYPE_CHECKING, Final

import pytest

from benchmarks import startup
from benchmarks.brokers import sink
from benchmarks.cases import CASES, OURS
from benchmarks.saved import Measurement, load
from benchmarks.special import Special, fill, idle
from benchmarks.startup import FIRSTS, STATEMENTS
from benchmarks.worker import work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.order import Order
    from benchmarks.runner import Figures

MOMENT: Final = 0.02
BY_WORKLOAD: Final = {"pipelined", "forget", "send-all", "one-linger-0", "tasks-10", "headers"}
RUNS: Final = [
    *((client, case) for client in OURS for case in sorted(BY_WORKLOAD)),
    *((client, case) for client in ("aiokafka", "confluent-kafka", "kafka-python") for case in ("pipelined", "forget")),
    ("aiokafka", "tasks-10"),
    ("confluent-kafka", "tasks-10"),
    ("confluent-aio", "pipelined"),
    ("bare-tasks", "tasks-10"),
    ("bare-socket", "one-linger-0"),
]


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with sink() as address:
        yield address


def order(client: str, name: str, bootstrap: str) -> Order:
    (case,) = (case for case in CASES if case.name == name)
    return case.order(client, bootstrap, MOMENT)


@pytest.mark.filterwarnings("ignore:.*is deprecated. Use files:DeprecationWarning")  # kafka-python's import
@pytest.mark.parametrize(("client", "name"), RUNS)
def test_a_moment_of_each_client(client: str, name: str, bootstrap: str) -> None:
    figures: Figures = work(order(client, name, bootstrap))
    assert figures["records_per_s"] > 0
    assert figures["sent"] > figures["count"] > 0, "the warm-up is sent too"


def test_topics_take_turns(bootstrap: str) -> None:
    figures = work(dataclasses.replace(order("aioproducer", "forget", bootstrap), topics=3, count=600))
    assert figures["count"] == 600


def test_samples_and_calls_are_written(bootstrap: str, tmp_path: Path) -> None:
    for name in ("samples", "calls"):
        work(
            dataclasses.replace(order("aioproducer", "pipelined", bootstrap), profile=str(tmp_path / name), seconds=0.2)
        )
    seen = json.loads((tmp_path / "samples").read_text())["functions"]
    assert any("aioproducer/" in place for place in seen)
    assert pstats.Stats(str(tmp_path / "calls")).get_stats_profile().func_profiles


async def test_programs_of_the_special_figures_run(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.special.LOAD_SECONDS", 0.05)
    monkeypatch.setattr("benchmarks.special.IDLE_SECONDS", 0.05)
    monkeypatch.setattr("benchmarks.special.IDLE_TOPICS", 2)
    assert await fill(bootstrap, 10, "none") >= 0
    assert await idle(bootstrap) >= 0


def test_start_is_measured_and_can_be_saved(bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"broken": "import nothing_of_that_name"}
    monkeypatch.setattr(startup, "STATEMENTS", {"nothing": "", "anyio": "import anyio"})
    monkeypatch.setattr(startup, "FIRSTS", {"aioproducer": FIRSTS["aioproducer"], **broken})
    monkeypatch.setattr("benchmarks.saved.FOLDER", tmp_path)
    imports, firsts = startup.import_times(1), startup.first_acks(bootstrap, "first-p6", 1)
    measured = Measurement({"date": "2026"}, [], [], Special({}, [], {}, imports, firsts))
    special = load(measured.save()).special
    assert special is not None
    assert (list(special.import_ms), list(special.first_ack_ms)) == (["anyio"], ["aioproducer"])


def test_programs_of_the_start_compile() -> None:
    for program in [*STATEMENTS.values(), *(each.format("localhost:1", "t") for each in FIRSTS.values())]:
        compile(program, "program", "exec")

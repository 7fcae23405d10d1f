"""Plots: well-formed, every client and case on them, outliers at the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from benchmarks import plots
from benchmarks.clients import CLIENTS
from benchmarks.runner import Result
from benchmarks.sampler import short
from benchmarks.saved import Measurement
from benchmarks.svg import Drawing, LogAxis, round_down, round_up

if TYPE_CHECKING:
    from pathlib import Path


def figures(scale: float) -> dict[str, float]:
    names = ("records_per_s", "cpu_us", "latency_p50_ms", "latency_p99_ms", "latency_p999_ms")
    return {name: scale * (index + 1) for index, name in enumerate(names)}


def measured() -> Measurement:
    rounds = {client: [figures(scale), figures(scale * 2)] for scale, client in enumerate(CLIENTS, 1)}
    return Measurement({}, [], [Result("pipelined", "kafka", "", rounds), Result("zstd", "sink", "", rounds)], None)


def test_every_client_has_a_colour() -> None:
    assert set(plots.COLORS) == set(CLIENTS)


def test_all_plots_are_drawn_and_well_formed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "FOLDER", tmp_path / "performance")
    paths = plots.draw_all(measured())
    assert {path.name for path in paths} == {"rates.svg", "cpu-ratios.svg", "latency.svg", "cpu.svg"}
    for path in paths:
        texts = {element.text for element in ElementTree.parse(path).iter() if element.text and element.text.strip()}
        assert {"pipelined", "aiokafka", "confluent-kafka"} <= texts


def test_no_results_are_an_empty_plot() -> None:
    empty = Measurement({}, [], [], None)
    for text in (plots.draw_ratios(empty, "cpu_us", "title"), plots.draw_latency(empty), plots.draw_cost(empty)):
        assert ElementTree.fromstring(text).tag.endswith("svg")


def test_text_is_escaped() -> None:
    drawing = Drawing(10, 10)
    drawing.text(0, 0, "a < b & c")
    assert ElementTree.fromstring(drawing.render())[1].text == "a < b & c"


@pytest.mark.parametrize(
    ("value", "below", "above"), [(7.0, 5.0, 10.0), (0.3, 0.2, 0.5), (1.0, 0.5, 2.0), (20, 10, 50)]
)
def test_axes_end_at_round_numbers(value: float, below: float, above: float) -> None:
    assert (round_down(value), round_up(value)) == (below, above)


def test_axis_is_logarithmic_and_keeps_outliers_at_its_ends() -> None:
    axis = LogAxis(0.1, 10.0, 100.0, 300.0)
    assert axis.at(1.0) == pytest.approx(200.0)
    assert (axis.at(1000.0), axis.at(0.001)) == (300.0, 100.0)
    assert axis.ticks() == [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]


def test_axis_holds_all_values_and_one() -> None:
    axis = LogAxis.around([3.0, 7.0], 0.0, 1.0)
    assert (axis.low, axis.high) == (0.5, 10.0)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/lib/python3.11/asyncio/events.py", "asyncio/events.py"),
        ("/venv/lib/python3.11/site-packages/trio/_core/_run.py", "trio/_core/_run.py"),
        ("/src/main/aioproducer/_core/accumulator/batch.py", "aioproducer/_core/accumulator/batch.py"),
        ("/src/main/benchmarks/clients/ours.py", "clients/ours.py"),
    ],
)
def test_places_are_named_from_their_package_on(path: str, expected: str) -> None:
    assert short(path) == expected

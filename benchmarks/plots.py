"""Draws what docs/performance.md shows: python -m benchmarks.plots benchmarks/results/DATE.json"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.machine import ROOT
from benchmarks.report import ratios
from benchmarks.saved import Measurement, load
from benchmarks.svg import FAINT, Drawing, LogAxis

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.runner import Result

FOLDER: Final = ROOT / "docs" / "performance"

OURS: Final = "aioproducer"
FLOORS: Final = ("bare-tasks", "bare-socket")
COLORS: Final = {
    "aioproducer": "#d55e00",
    "aioproducer-uvloop": "#f0915a",
    "aioproducer-trio": "#8c3d00",
    "aiokafka": "#cc9900",
    "confluent-kafka": "#0072b2",
    "confluent-aio": "#56b4e9",
    "kafka-python": "#009e73",
    "bare-tasks": "#999999",
    "bare-socket": "#999999",
}
LATENCY_CASES: Final = ("one-linger-0", "one-linger-5", "tasks-10", "tasks-1000", "tasks-10000", "pipelined")
COST_CASES: Final = ("pipelined", "forget", "send-all", "tasks-1000", "workers-1000", "value-1kb", "zstd", "lz4")

WIDTH: Final = 860
LEFT: Final = 190
RIGHT: Final = WIDTH - 30
TOP: Final = 64
FARTHEST: Final = 20.0
"""Ratios beyond are drawn at the edge."""
LANE: Final = 9
GAP: Final = 10


def draw_all(measured: Measurement) -> list[Path]:
    """Write every plot; returns the files."""
    FOLDER.mkdir(exist_ok=True)
    plots: dict[str, Callable[[Measurement], str]] = {
        "rates": lambda each: draw_ratios(
            each, "records_per_s", "records/s, aioproducer ÷ other (right of 1: faster; beyond 20 at the edge)"
        ),
        "cpu-ratios": lambda each: draw_ratios(
            each, "cpu_us", "CPU a record, aioproducer ÷ other (left of 1: cheaper)"
        ),
        "latency": draw_latency,
        "cpu": draw_cost,
    }
    paths: list[Path] = []
    for name, draw in plots.items():
        path = FOLDER / f"{name}.svg"
        path.write_text(draw(measured))
        paths.append(path)
    return paths


def _legend_of(results: list[Result], *, is_without_ours: bool) -> list[tuple[str, str]]:
    seen = {client for result in results for client in result.rounds}
    entries = [(name, color) for name, color in COLORS.items() if name in seen and name not in FLOORS]
    if is_without_ours:
        return [entry for entry in entries if entry[0] != OURS]
    return [*entries, ("bare", COLORS[FLOORS[0]])] if seen & set(FLOORS) else entries


def _label(result: Result) -> str:
    return result.case if result.broker == "kafka" else f"{result.case}, sink"


def _grid(drawing: Drawing, axis: LogAxis, top: float, bottom: float) -> None:
    for tick in axis.ticks():
        x = axis.at(tick)
        drawing.line(x, top, x, bottom, FAINT)
        drawing.text(x, top - 6, f"{tick:g}", anchor="middle", size=10)


def draw_ratios(measured: Measurement, figure: str, title: str) -> str:
    """Return a dot for each case and client: the median of the rounds, on a line from the least to the greatest."""
    rows: list[tuple[Result, dict[str, list[float]]]] = []
    for result in measured.results:
        ours = result.rounds.get(OURS, [])
        found = {
            client: ratios(ours, runs, figure)
            for client, runs in result.rounds.items()
            if client not in (OURS, *FLOORS)
        }
        if ours and found:
            rows.append((result, found))
    results = [result for result, _ in rows]
    bottom = TOP + sum(len(found) * LANE + GAP for _, found in rows)
    drawing = Drawing(WIDTH, bottom + 10)
    drawing.text(10, 18, title, size=13, bold=True)
    drawing.legend(16, 38, _legend_of(results, is_without_ours=True))
    shown = [value for _, found in rows for values in found.values() for value in values]
    axis = LogAxis.around((min(max(value, 1 / FARTHEST), FARTHEST * 0.99) for value in shown), LEFT, RIGHT)
    _grid(drawing, axis, TOP, bottom)
    drawing.line(axis.at(1), TOP, axis.at(1), bottom)
    y = float(TOP + GAP / 2)
    for result, found in rows:
        drawing.text(LEFT - 12, y + len(found) * LANE / 2 + 4, _label(result), anchor="end")
        for client, values in found.items():
            y += LANE / 2
            drawing.line(axis.at(min(values)), y, axis.at(max(values)), y, COLORS[client], 2)
            drawing.dot(axis.at(statistics.median(values)), y, COLORS[client])
            y += LANE / 2
        y += GAP
    return drawing.render()


def draw_latency(measured: Measurement) -> str:
    """Return a line for each case and client: p50 (dot), p99 and p99.9 (strokes), medians of the rounds."""
    results = [result for result in measured.results if result.broker == "kafka" and result.case in LATENCY_CASES]
    figures = ("latency_p50_ms", "latency_p99_ms", "latency_p999_ms")
    rows = [
        (result, {client: tuple(_median(runs, name) for name in figures) for client, runs in result.rounds.items()})
        for result in results
    ]
    rows = [(result, {client: each for client, each in found.items() if each[0]}) for result, found in rows]
    bottom = TOP + sum(len(found) * LANE + GAP for _, found in rows)
    drawing = Drawing(WIDTH, bottom + 10)
    drawing.text(10, 18, "ms to the acknowledgement: p50 (dot), p99 and p99.9 (strokes)", size=13, bold=True)
    drawing.legend(16, 38, _legend_of(results, is_without_ours=False))
    axis = LogAxis.around((value for _, found in rows for each in found.values() for value in each), LEFT, RIGHT)
    _grid(drawing, axis, TOP, bottom)
    y = float(TOP + GAP / 2)
    for result, found in rows:
        drawing.text(LEFT - 12, y + len(found) * LANE / 2 + 4, _label(result), anchor="end")
        for client, (p50, p99, p999) in found.items():
            y += LANE / 2
            drawing.line(axis.at(p50), y, axis.at(p999), y, COLORS[client], 1.5)
            drawing.dot(axis.at(p50), y, COLORS[client])
            for value in (p99, p999):
                drawing.line(axis.at(value), y - 3.5, axis.at(value), y + 3.5, COLORS[client], 2)
            y += LANE / 2
        y += GAP
    return drawing.render()


def _median(runs: list[dict[str, float]], name: str) -> float:
    return statistics.median(run.get(name, 0.0) for run in runs)


def draw_cost(measured: Measurement) -> str:
    """Return a bar for each case and client: µs of CPU a record."""
    results = [result for result in measured.results if result.broker == "kafka" and result.case in COST_CASES]
    rows = [(result, {c: _median(runs, "cpu_us") for c, runs in result.rounds.items()}) for result in results]
    lane = 13
    bottom = TOP + sum(len(found) * lane + GAP for _, found in rows)
    drawing = Drawing(WIDTH, bottom + 10)
    drawing.text(10, 18, "µs of the client's CPU a record, all of its threads (medians)", size=13, bold=True)
    drawing.legend(16, 38, _legend_of(results, is_without_ours=False))
    widest = max((value for _, found in rows for value in found.values()), default=1.0)
    y = float(TOP + GAP / 2)
    for result, found in rows:
        drawing.text(LEFT - 12, y + len(found) * lane / 2 + 4, _label(result), anchor="end")
        for client, value in found.items():
            length = value / widest * (RIGHT - LEFT - 40)
            drawing.bar(LEFT, y + 1, length, lane - 2, COLORS[client])
            drawing.text(LEFT + length + 4, y + lane - 3, f"{value:.1f}", size=10)
            y += lane
        y += GAP
    return drawing.render()


def main() -> None:
    """Draw from the file that is named."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(*draw_all(load(Path(sys.argv[1]))), sep="\n")


if __name__ == "__main__":
    main()

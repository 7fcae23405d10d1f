"""Writes the figures of docs/performance.md and draws its plots.

    python -m benchmarks.page benchmarks/results/DATE.json

What stands between the two markers of the page is made from the file; the rest is written by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.machine import ROOT
from benchmarks.plots import draw_all
from benchmarks.report import median_of, ratios, spread
from benchmarks.saved import Measurement, load
from benchmarks.targets import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.runner import Result
    from benchmarks.special import Special

PAGE: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- figures: "
END: Final = "<!-- end of figures -->"

OURS: Final = "aioproducer"
OTHERS: Final = ("aiokafka", "confluent-kafka", "confluent-aio", "kafka-python")
LOOPS: Final = ("aioproducer-uvloop", "aioproducer-trio")


def figures(measured: Measurement) -> str:
    """Return the Markdown between the markers."""
    parts = [*_machine(measured), *_rates(measured), *_latency(measured), *_cost(measured)]
    if measured.special:
        parts += _special(measured.special)
    return "\n".join([*parts, *_targets(measured), ""])


def _machine(measured: Measurement) -> Iterator[str]:
    about = measured.machine
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    machine = f"{about['processor']}, {about['cores']} cores, load average {about['load_average']:.1f} at the start"
    yield f"{str(about['date'])[:10]}, commit {about['commit']}; {machine}; CPython {about['python']}; {packages}."
    if about["load_average"] > about["cores"]:
        yield "\n**The machine was busy with other work**: only CPU figures, and ratios with a narrow spread, say much."
    yield ""


def _rates(measured: Measurement) -> Iterator[str]:
    yield "## Records per second\n"
    yield "![records/s, aioproducer ÷ other clients](performance/rates.svg)\n"
    yield "aioproducer on asyncio; then its records/s ÷ the others', within a round: median [least-greatest].\n"
    yield f"| | records/s | MB/s | {' | '.join(OTHERS)} |"
    yield f"|---|--:|--:|{'--:|' * len(OTHERS)}"
    for result in measured.results:
        if runs := result.rounds.get(OURS):
            median = median_of(runs)
            cells = [f"{median['records_per_s']:,.0f}", f"{median['mb_per_s']:.1f}"]
            cells += [_ratio(result, client, "records_per_s") for client in OTHERS]
            yield f"| {_name(result)} | {' | '.join(cells)} |"
    yield ""


def _latency(measured: Measurement) -> Iterator[str]:
    yield "## Latency, and the event loop's lag\n"
    yield "![ms to the acknowledgement](performance/latency.svg)\n"
    yield "Of aioproducer, ms: from the call to the acknowledgement, and how late a ticking task woke meanwhile.\n"
    yield "| | loop | p50 | p99 | p99.9 | lag p99 | worst lag |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for result in measured.results:
        for client in (OURS, *LOOPS):
            if runs := result.rounds.get(client):
                median = median_of(runs)
                names = ("latency_p50_ms", "latency_p99_ms", "latency_p999_ms", "lag_p99_ms", "lag_max_ms")
                cells = [f"{median[name]:.1f}" if name in median else "" for name in names]
                yield f"| {_name(result)} | {client.partition('-')[2] or 'asyncio'} | {' | '.join(cells)} |"
    yield ""


def _cost(measured: Measurement) -> Iterator[str]:
    yield "## CPU and memory\n"
    yield "![µs of CPU a record](performance/cpu.svg)\n"
    yield "![CPU a record, aioproducer ÷ other clients](performance/cpu-ratios.svg)\n"
    yield "µs of CPU a record, all threads of the process; by the others'; peak memory of the process, MB.\n"
    yield f"| | CPU µs | {' | '.join(OTHERS)} | peak MB |"
    yield f"|---|--:|{'--:|' * len(OTHERS)}--:|"
    for result in measured.results:
        if runs := result.rounds.get(OURS):
            median = median_of(runs)
            cells = [_ratio(result, client, "cpu_us") for client in OTHERS]
            yield f"| {_name(result)} | {median['cpu_us']:.1f} | {' | '.join(cells)} | {median['peak_mb']:.0f} |"
    yield ""


def _special(special: Special) -> Iterator[str]:
    yield "## Start\n"
    yield "| ms | import, beyond an empty process | | from the start of the process to the first acknowledgement |"
    yield "|---|--:|---|--:|"
    imports = [(name, spread(values)) for name, values in special.import_ms.items()]
    firsts = [(name, spread(values)) for name, values in special.first_ack_ms.items()]
    for index in range(max(len(imports), len(firsts))):
        cells = (*_or_empty(imports, index), *_or_empty(firsts, index))
        yield f"| {' | '.join(cells)} |"
    yield "\n## Size\n"
    yield "| | CPU µs a record | lag p99, ms |"
    yield "|---|--:|--:|"
    for shape, runs in special.flat.items():
        lag = median_of(runs)["lag_p99_ms"]
        yield f"| {shape} | {spread([run['cpu_us'] for run in runs])} | {lag:.1f} |"
    yield ""


def _or_empty(rows: list[tuple[str, str]], index: int) -> tuple[str, str]:
    return rows[index] if index < len(rows) else ("", "")


def _targets(measured: Measurement) -> Iterator[str]:
    yield "## Targets\n"
    yield "| | target | measured | |"
    yield "|---|---|--:|---|"
    for check in checks(measured):
        target = f"{'at most' if check.is_at_most else 'at least'} {check.limit:.4g} {check.unit}"
        verdict = f"{'met' if check.is_met else '**not met**'}{check.floor_text()}"
        yield f"| {check.name} | {target} | {spread(list(check.values))} | {verdict} |"


def _name(result: Result) -> str:
    return f"{result.text}{', sink' if result.broker == 'sink' else ''}"


def _ratio(result: Result, client: str, name: str) -> str:
    if client in result.failures:
        return "cannot"
    runs = result.rounds.get(client)
    return spread(ratios(result.rounds[OURS], runs, name)) if runs else "-"


def with_figures(page: str, file: str, text: str) -> str:
    """Return the page with other figures between its markers; the first tells the file that they come from.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} lacks {BEGIN!r} or {END!r}")
    return f"{before}{BEGIN}{file} -->\n\n{text}\n{END}{after}"


def source_of(page: str) -> str:
    """Return the name of the file that the page's figures come from."""
    return page.partition(BEGIN)[2].partition(" -->")[0]


def update(measured: Measurement, file: str) -> list[Path]:
    """Write the page's figures and draw the plots; returns the files."""
    PAGE.write_text(with_figures(PAGE.read_text(), file, figures(measured)))
    return [PAGE, *draw_all(measured)]


def main() -> None:
    """Write from the file that is named."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = Path(sys.argv[1])
    print(*update(load(path), path.name), sep="\n")


if __name__ == "__main__":
    main()

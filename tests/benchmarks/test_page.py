"""The page's figures are those of the file it names, and so are its plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import plots
from benchmarks.page import BEGIN, END, PAGE, figures, source_of, with_figures
from benchmarks.runner import Result
from benchmarks.saved import FOLDER, Measurement, load
from benchmarks.special import Special

if TYPE_CHECKING:
    from pathlib import Path


def test_figures_of_the_page_are_those_of_the_file_that_it_names() -> None:
    page = PAGE.read_text()
    file = source_of(page)
    assert with_figures(page, file, figures(load(FOLDER / file))) == page, f"python -m benchmarks.page {FOLDER / file}"


def test_plots_of_the_page_are_drawn_from_the_file_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = plots.FOLDER
    monkeypatch.setattr(plots, "FOLDER", tmp_path)
    for path in plots.draw_all(load(FOLDER / source_of(PAGE.read_text()))):
        assert (kept / path.name).read_text() == path.read_text()


def test_only_what_is_between_the_markers_changes() -> None:
    page = f"above\n{BEGIN}old.json -->\nold\n{END}\nbelow\n"
    written = with_figures(page, "new.json", "new")
    assert written == f"above\n{BEGIN}new.json -->\n\nnew\n{END}\nbelow\n"
    assert source_of(written) == "new.json"
    assert with_figures(written, "new.json", "new") == written


@pytest.mark.parametrize("page", ["no marker", f"{BEGIN}x -->", END])
def test_a_page_without_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="lacks"):
        with_figures(page, "new.json", "new")


def test_rows_tell_ratios_failures_and_what_was_not_run() -> None:
    runs = [{"records_per_s": 2000.0, "mb_per_s": 0.2, "cpu_us": 5.0, "peak_mb": 30.0, "latency_p50_ms": 1.5}]
    half = [{**runs[0], "records_per_s": 1000.0, "cpu_us": 10.0}]
    result = Result("c", "sink", "text", {"aioproducer": runs, "aiokafka": half}, {"confluent-aio": "no headers"})
    machine: dict[str, Any] = {"date": "2026", "commit": "c", "processor": "p", "cores": 2, "load_average": 1.0}
    machine |= {"python": "3", "packages": {}}
    special = Special({"10 B": [1.0]}, [0.1], {}, {"anyio": [40.0], "aiokafka": [90.0]}, {"aioproducer": [300.0]})
    text = figures(Measurement(machine, [], [result], special))
    assert "| text, sink | 2,000 | 0.2 | 2.00 [2.00-2.00] | - | cannot | - |" in text
    assert "| text, sink | 5.0 | 0.50 [0.50-0.50] | - | cannot | - | 30 |" in text
    assert "| text, sink | asyncio | 1.5 |  |  |  |  |" in text
    assert "| anyio | 40.00 [40.00-40.00] | aioproducer | 300.00 [300.00-300.00] |" in text
    assert "| aiokafka | 90.00 [90.00-90.00] |  |  |" in text

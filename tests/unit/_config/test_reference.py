"""The reference of settings."""

from __future__ import annotations

from pathlib import Path

from aioproducer._config import SETTINGS
from aioproducer._config.reference import settings_reference

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_document_is_what_the_declarations_say() -> None:
    assert DOCUMENT.read_text("utf-8") == settings_reference(), "run: python -m aioproducer._config > docs/settings.md"


def test_every_setting_has_a_row_of_four_cells() -> None:
    rows = [line for line in settings_reference().splitlines() if line.startswith("| `")]
    for name in SETTINGS:
        (row,) = [row for row in rows if row.startswith((f"| `{name}` |", f"| `{name}` ("))]
        assert row.replace("\\|", "").count("|") == 5

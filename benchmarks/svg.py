"""As much of SVG as a plot needs: lines, bars, dots and text, a logarithmic axis, a legend."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

INK: Final = "#333333"
FAINT: Final = "#dddddd"
CHARACTER: Final = 6.2
"""About how wide a character of the legend is."""


@dataclass(slots=True)
class Drawing:
    """A white sheet to draw on; 0, 0 is its upper left corner."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list[str])

    def line(self, x1: float, y1: float, x2: float, y2: float, color: str = INK, width: float = 1.0) -> None:
        """Draw from one point to the other."""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width:g}"/>'
        )

    def dot(self, x: float, y: float, color: str, radius: float = 3.0) -> None:
        """Draw a filled circle."""
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{color}"/>')

    def bar(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Draw a filled rectangle; x, y is its upper left corner."""
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>')

    def text(
        self, x: float, y: float, words: str, *, anchor: str = "start", size: float = 11, bold: bool = False
    ) -> None:
        """Write on the line whose base is at y; anchor: "start", "middle", "end"."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}"{weight}>{escape(words)}</text>'
        )

    def legend(self, x: float, y: float, entries: Iterable[tuple[str, str]]) -> None:
        """Write names, each after a dot of its colour, in one line."""
        for name, color in entries:
            self.dot(x, y - 4, color, 4)
            self.text(x + 8, y, name)
            x += 24 + len(name) * CHARACTER

    def render(self) -> str:
        """Return the file's text."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}" font-family="sans-serif" fill="{INK}">'
        )
        sheet = f'<rect width="{self.width:g}" height="{self.height:g}" fill="white"/>'
        return "\n".join([head, sheet, *self.parts, "</svg>"]) + "\n"


@dataclass(frozen=True, slots=True)
class LogAxis:
    """A logarithmic axis that goes from `low` at `left` to `high` at `right`; what is beyond lies at the ends."""

    low: float
    high: float
    left: float
    right: float

    @classmethod
    def around(cls, values: Iterable[float], left: float, right: float) -> LogAxis:
        """Return the axis that begins and ends at 1, 2 or 5 of some power of ten and holds all values, and 1."""
        held = [value for value in values if value > 0] + [1.0]
        return cls(round_down(min(held)), round_up(max(held)), left, right)

    def at(self, value: float) -> float:
        """Return where a value lies."""
        share = (math.log(max(value, self.low)) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return self.left + min(share, 1.0) * (self.right - self.left)

    def ticks(self) -> list[float]:
        """Return the values with a label: 1, 2 and 5 of each power of ten."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        steps = [float(f"{step}e{power}") for power in range(first, last + 1) for step in (1, 2, 5)]
        return [step for step in steps if self.low * 0.999 <= step <= self.high * 1.001]


def round_down(value: float) -> float:
    """Return the largest of 1, 2 and 5 of a power of ten that is below.

    >>> round_down(7.0), round_down(0.3), round_down(1.0)
    (5.0, 0.2, 0.5)
    """
    return max(step for step in _steps(value) if step < value * 0.999)


def round_up(value: float) -> float:
    """Return the least of 1, 2 and 5 of a power of ten that is above.

    >>> round_up(7.0), round_up(0.3), round_up(1.0)
    (10.0, 0.5, 2.0)
    """
    return min(step for step in _steps(value) if step > value * 1.001)


def _steps(value: float) -> list[float]:
    power = math.floor(math.log10(value))
    return [float(f"{step}e{each}") for each in (power - 1, power, power + 1) for step in (1, 2, 5)]

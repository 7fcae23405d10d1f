"""The Python blocks of the pages: each says in a comment before it how it is to be run.

<!-- program: asyncio, trio -->   a whole program; a ```text block after it is what it prints
<!-- excerpt: asyncio, trio -->   lines that have `producer`, `cluster` and the public names at hand
<!-- shown -->                    not run: signatures, or code of another library
<!-- file: docs/examples/x.py --> the same text as that file, which has tests of its own
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

ROOT: Final = Path(__file__).parent.parent.parent
PAGES: Final = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
ADDRESS: Final = "localhost:9092"
"""Where the pages say that Kafka is; it is replaced by the address of an embedded cluster."""

_BLOCK: Final = re.compile(
    r"(?:^<!-- (?P<kind>program|excerpt|shown|file)(?:: (?P<told>[^>]*?))? -->\n+)?"
    r"^```python\n(?P<code>.*?)^```\n(?:\n?```text\n(?P<printed>.*?)^```)?",
    re.MULTILINE | re.DOTALL,
)

Kind = Literal["program", "excerpt", "shown", "file"]
Loop = Literal["asyncio", "trio"]


@dataclass(frozen=True, slots=True)
class Snippet:
    """One Python block of a page.

    Attributes:
        page, line: where it is.
        kind: how it is to be run; None when the page does not say.
        told: what follows the kind: loops, or a file.
        code: its text.
        printed: what it prints according to the page, or None.
    """

    page: str
    line: int
    kind: Kind | None
    told: tuple[str, ...]
    code: str
    printed: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The event loops that it runs on."""
        return cast("tuple[Loop, ...]", self.told)

    def code_for(self, address: str) -> str:
        """The code, for a cluster at that address."""
        return self.code.replace(ADDRESS, address)


def snippets_of(page: Path) -> list[Snippet]:
    """All Python blocks of a page, in order."""
    text = page.read_text()
    return [
        Snippet(
            page=str(page.relative_to(ROOT)),
            line=text.count("\n", 0, match.start("code")) + 1,
            kind=cast("Kind | None", match["kind"]),
            told=tuple(match["told"].split(", ")) if match["told"] else (),
            code=match["code"],
            printed=match["printed"],
        )
        for match in _BLOCK.finditer(text)
    ]


SNIPPETS: Final = [snippet for page in PAGES for snippet in snippets_of(page)]

"""The site is built, strictly, and no link in it leads nowhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

from tests.docs.snippets import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SECONDS: Final = 50
BASE: Final = "http://site/"


class Page(HTMLParser):
    """What a page links to, and what in it can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is not None and name in {"href", "src"}:
                self.links.append(value)
            if value is not None and name in {"id", "name"}:
                self.anchors.add(value)


def config() -> dict[str, Any]:
    """The project in zensical.toml."""
    project: dict[str, Any] = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    return project


def pages_in(nav: list[Any]) -> Iterator[str]:
    """The pages that a navigation names, in its order."""
    for entry in nav:
        for target in entry.values():
            if isinstance(target, str):
                yield target
            else:
                yield from pages_in(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built of a copy of the pages."""
    place = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", place / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "zensical.toml").read_text()
    assert text.count('paths = ["."]') == 1
    (place / "zensical.toml").write_text(text.replace('paths = ["."]', f'paths = ["{ROOT}"]'))
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return place / "site"


def parsed(site: Path) -> dict[str, Page]:
    """All pages by their path in the site."""
    pages: dict[str, Page] = {}
    for file in site.rglob("*.html"):
        page = Page()
        page.feed(file.read_text())
        pages[file.relative_to(site).as_posix()] = page
    return pages


def test_every_page_is_in_the_navigation_once() -> None:
    written = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    assert sorted(pages_in(config()["nav"])) == written, "a new page goes into nav in zensical.toml"


def test_no_link_of_the_site_leads_nowhere(site: Path) -> None:
    pages = parsed(site)
    assert len(pages) > 15
    broken: list[str] = []
    checked = 0
    for path, page in pages.items():
        if path == "404.html":
            continue  # its links are for the root of a server
        for link in page.links:
            url, anchor = urldefrag(urljoin(BASE + path, link))
            if not url.startswith(BASE):
                continue
            checked += 1
            target = unquote(urlsplit(url).path).lstrip("/")
            file = target + "index.html" if target == "" or target.endswith("/") else target
            is_there = (site / file).is_file()
            if not is_there or (file in pages and unquote(anchor) not in pages[file].anchors):
                broken.append(f"{path} → {link}")
    assert checked > 200
    assert sorted(set(broken)) == []


def test_the_interface_has_its_methods(site: Path) -> None:
    text = (site / "reference" / "index.html").read_text()
    for name in ("send", "submit", "submit_nowait", "send_all", "flush", "transaction", "close"):
        assert f'id="aioproducer.Producer.{name}"' in text
    assert not re.search(r"<p>::: ", text), "a directive was not understood"

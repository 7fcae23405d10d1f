"""Every Python block of README.md and docs/ runs, on the loops that the page names, against an embedded cluster."""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

import aioproducer
from aioproducer import Producer
from aioproducer.testing import EmbeddedCluster
from tests.docs.snippets import ROOT, SNIPPETS, Snippet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SECONDS: Final = 20
LOOPS: Final = {"asyncio", "trio"}
TO_RUN: Final = {"program", "excerpt"}


def of_kind(*kinds: str) -> list[Snippet]:
    """The snippets of these kinds; `pytest.param` has them named by page and line."""
    return [snippet for snippet in SNIPPETS if snippet.kind in kinds]


def on_each_loop(snippets: Iterable[Snippet]) -> list[Any]:
    """A parameter set for each snippet and loop."""
    return [pytest.param(each, loop, id=f"{each}-{loop}") for each in snippets for loop in each.loops]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_page_says_how_each_of_its_python_blocks_is_run(snippet: Snippet) -> None:
    assert snippet.kind is not None, (
        f"put <!-- program: asyncio, trio --> or so before it; see {__package__}/snippets.py"
    )
    if snippet.kind in TO_RUN:
        assert snippet.loops
        assert set(snippet.loops) <= LOOPS
    else:
        assert snippet.printed is None


@pytest.mark.parametrize(("snippet", "loop"), on_each_loop(of_kind("program")))
def test_program_runs(snippet: Snippet, loop: str, tmp_path: Path) -> None:
    with EmbeddedCluster.running() as cluster:
        code = snippet.code_for(cluster.bootstrap_servers[0])
        if loop == "trio":
            code = on_trio(code)
        program = tmp_path / "program.py"
        program.write_text(code)
        ended = subprocess.run(
            [sys.executable, "-W", "error", program], capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    if snippet.printed is not None:
        assert is_as_printed(ended.stdout, snippet.printed), ended.stdout


def on_trio(code: str) -> str:
    """The program, started in the other way: the pages print that of asyncio."""
    code, count = re.subn(r"(?m)^( *)(anyio|asyncio)\.run\(main(\(\))?\)", r"\1__import__('trio').run(main)", code)
    assert count == 1, "a program ends in anyio.run(main) or asyncio.run(main())"
    return code


@pytest.mark.parametrize(("snippet", "loop"), on_each_loop(of_kind("excerpt")))
def test_excerpt_runs(snippet: Snippet, loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(run_excerpt, snippet, backend=loop)
    if snippet.printed is not None:
        printed = capsys.readouterr().out
        assert is_as_printed(printed, snippet.printed), printed


@pytest.mark.parametrize("snippet", of_kind("file"), ids=str)
def test_block_is_the_file_that_it_names(snippet: Snippet) -> None:
    (path,) = snippet.told
    assert snippet.code in (ROOT / path).read_text()


async def run_excerpt(snippet: Snippet) -> None:
    """Run the lines with a cluster and a producer at hand."""
    with anyio.fail_after(SECONDS):
        async with EmbeddedCluster(brokers=1, partitions=1) as cluster:
            address = cluster.bootstrap_servers[0]
            for topic in set(re.findall(r'TopicPartition\("(\w+)"', snippet.code)):
                await cluster.create_topic(topic)  # offsets are committed of what exists
            is_transactional = re.search(r"\bproducer\.(begin_)?transaction\(", snippet.code) is not None
            name = "excerpt" if is_transactional else None
            async with Producer(bootstrap_servers=address, transactional_id=name) as producer:
                text = snippet.code_for(address)
                code = compile(text, str(snippet), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
                result = eval(code, given(producer, cluster))
                if inspect.isawaitable(result):
                    await result


def given(producer: Producer, cluster: EmbeddedCluster) -> dict[str, Any]:
    """What an excerpt has at hand."""
    names: dict[str, Any] = {name: getattr(aioproducer, name) for name in aioproducer.__all__}
    names |= {"anyio": anyio, "asyncio": asyncio, "logging": logging, "time": time}
    names |= {"producer": producer, "cluster": cluster, "EmbeddedCluster": EmbeddedCluster, "__name__": "__main__"}
    return names


def is_as_printed(printed: str, expected: str) -> bool:
    """Whether the output is that of the page, where … stands for anything within a line."""
    pattern = ".*".join(re.escape(part) for part in expected.split("…"))
    return re.fullmatch(pattern, printed) is not None

"""`aioproducer demo`: a line for each record and each way, the log read back, and the program that was run."""

from __future__ import annotations

import asyncio
import inspect
import re
import socket
from typing import TYPE_CHECKING, Final

import pytest

from aioproducer._cli import demo_program, demo_program_trio, main
from aioproducer._cli.demo import RECORDS, Printer

if TYPE_CHECKING:
    from types import ModuleType

    from aioproducer._types import RecordMetadata

LINE: Final = re.compile(r"  (\S+)\[(\d)\]@(\d+) +(\S.*\S) +key=([\w-]+) +(\d+\.\d) ms")
WAYS: Final = {
    "asyncio": ["await send", "task + callback", "delivery + callback", "fire and forget"],
    "trio": ["await send", "task", "delivery + callback", "fire and forget"],
}
PROGRAMS: Final[dict[str, ModuleType]] = {"asyncio": demo_program, "trio": demo_program_trio}


def unused_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@pytest.mark.parametrize("loop", list(WAYS))
def test_each_record_of_each_way_has_its_line(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--loop", loop]) == 0
    lines = [found.groups() for found in map(LINE.fullmatch, capsys.readouterr().out.splitlines()) if found]
    assert len(lines) == RECORDS
    assert len({topic for topic, *_ in lines}) == 1
    assert len({(partition, offset) for _, partition, offset, *_ in lines}) == RECORDS
    for way in WAYS[loop]:
        assert sum(each == way for _, _, _, each, *_ in lines) == 3


@pytest.mark.parametrize("loop", list(WAYS))
def test_the_log_is_compared_and_the_program_shown(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--loop", loop, "--topic", "orders"]) == 0
    printed = capsys.readouterr().out
    assert "read back: 12 records in the log, 12 of 12 as they were acknowledged" in printed
    assert inspect.getsource(PROGRAMS[loop].send_in_all_three_ways) in printed


def test_on_asyncio_a_callback_is_added_to_a_task_and_one_to_a_delivery() -> None:
    shown = inspect.getsource(demo_program.send_in_all_three_ways)
    assert "task = asyncio.create_task(producer.send(topic, value, key=key))\n" in shown
    assert "task.add_done_callback(" in shown
    assert "delivery.add_done_callback(" in shown


def test_a_task_whose_record_failed_has_a_line_that_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    async def refused() -> RecordMetadata:
        raise RuntimeError("no room")

    async def scenario() -> None:
        task = asyncio.ensure_future(refused())
        task.add_done_callback(Printer().callback("task + callback", b"k", b"v"))
        await asyncio.wait([task])

    asyncio.run(scenario())
    assert capsys.readouterr().out.split() == ["not", "delivered", "task", "+", "callback", "key=k", "no", "room"]


def test_without_a_broker_it_fails_in_one_line_that_names_the_address(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioproducer._cli.demo.MAX_BLOCK_MS", 200)
    address = f"127.0.0.1:{unused_port()}"
    assert main(["demo", "--bootstrap", address]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("the demo failed: ")
    assert address in line


def test_an_event_loop_that_is_not_installed_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(name: str) -> None:
        """As for a package that is not there."""

    monkeypatch.setattr("importlib.util.find_spec", nothing)
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--loop", "trio"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith("error: --loop trio: it is not installed; pip install trio\n")

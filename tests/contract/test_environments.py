"""A producer where there is not one task in one `asyncio.run`: notebooks, test fixtures, debug mode, eager tasks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import uvloop

from aioproducer import Delivery, KafkaError, Producer, ProducerClosedError
from aioproducer.testing import EmbeddedCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from aioproducer.testing import BlockingCluster

SECONDS: Final = 50
ROOT: Final = Path(__file__).parents[2]
LOOPS: Final[list[Any]] = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture
def kafka() -> Generator[BlockingCluster]:
    """A cluster in a thread of its own: the loop of the test is its own matter."""
    with EmbeddedCluster.running() as running:
        yield running


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def notebook(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that lives as long as the notebook; each cell is a task of its own in it, run to its end."""
    make: Callable[[], asyncio.AbstractEventLoop] = request.param
    loop = make()
    try:
        yield loop
        assert asyncio.all_tasks(loop) == set()
    finally:
        loop.close()


def values(kafka: BlockingCluster, topic: str = "orders") -> list[bytes | None]:
    return [record.value for record in kafka.records(topic)]


# ── notebooks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_notebook_starts_and_closes_in_different_cells(
    kafka: BlockingCluster, notebook: asyncio.AbstractEventLoop
) -> None:
    cell = notebook.run_until_complete
    producer = Producer(bootstrap_servers=kafka.bootstrap_servers)  # a cell without await
    cell(producer.start())
    metadata = cell(producer.send("orders", b"1"))
    assert (metadata.topic, metadata.offset) == ("orders", 0)
    cell(producer.close())
    assert values(kafka) == [b"1"]
    with pytest.raises(ProducerClosedError):
        cell(producer.send("orders", b"2"))


def test_a_notebook_awaits_in_a_later_cell_what_it_submitted_in_an_earlier_one(
    kafka: BlockingCluster, notebook: asyncio.AbstractEventLoop
) -> None:
    async def submit() -> list[Delivery]:
        return [await producer.submit("orders", b"%d" % number) for number in range(100)]

    async def look(deliveries: list[Delivery]) -> list[int]:
        return [(await delivery).offset for delivery in deliveries]

    cell = notebook.run_until_complete
    producer = Producer(bootstrap_servers=kafka.bootstrap_servers)
    cell(producer.start())
    deliveries = cell(submit())  # between cells the loop stands still
    assert cell(look(deliveries)) == list(range(100))
    cell(producer.flush())
    cell(producer.close())
    assert len(values(kafka)) == 100


def test_a_cell_that_fails_leaves_the_producer_to_the_next(
    kafka: BlockingCluster, notebook: asyncio.AbstractEventLoop
) -> None:
    async def fails() -> None:
        await producer.submit("orders", b"1")
        raise ZeroDivisionError

    cell = notebook.run_until_complete
    producer = Producer(bootstrap_servers=kafka.bootstrap_servers)
    cell(producer.__aenter__())
    with pytest.raises(ZeroDivisionError):
        cell(fails())
    cell(producer.send("orders", b"2"))
    cell(producer.__aexit__(None, None, None))
    assert values(kafka) == [b"1", b"2"]


def test_a_cell_that_is_interrupted_leaves_the_producer_to_the_next(
    kafka: BlockingCluster, notebook: asyncio.AbstractEventLoop
) -> None:
    accepted = asyncio.Event()

    async def never_ends() -> None:
        await producer.submit("orders", b"1")
        accepted.set()
        await asyncio.Event().wait()

    async def interrupted() -> None:
        task = asyncio.create_task(never_ends())
        await accepted.wait()
        task.cancel()
        await task

    cell = notebook.run_until_complete
    producer = Producer(bootstrap_servers=kafka.bootstrap_servers)
    cell(producer.start())
    cell(producer.partitions_for("orders"))
    with pytest.raises(asyncio.CancelledError):
        cell(interrupted())
    cell(producer.send("orders", b"2"))
    cell(producer.close())
    assert values(kafka) == [b"1", b"2"]


def test_a_cell_that_is_run_again_is_told_what_to_do(
    kafka: BlockingCluster, notebook: asyncio.AbstractEventLoop
) -> None:
    cell = notebook.run_until_complete
    producer = Producer(bootstrap_servers=kafka.bootstrap_servers)
    cell(producer.start())
    with pytest.raises(KafkaError, match="it is running"):
        cell(producer.start())
    cell(producer.close())
    cell(producer.start())
    cell(producer.send("orders", b"1"))
    cell(producer.close())
    assert values(kafka) == [b"1"]


def test_two_producers_and_a_transaction_over_several_cells(
    kafka: BlockingCluster, notebook: asyncio.AbstractEventLoop
) -> None:
    cell = notebook.run_until_complete
    plain = Producer(bootstrap_servers=kafka.bootstrap_servers)
    in_transactions = Producer(bootstrap_servers=kafka.bootstrap_servers, transactional_id="notebook")
    cell(plain.start())
    cell(in_transactions.start())
    transaction = cell(in_transactions.begin_transaction())
    cell(in_transactions.send("orders", b"in it"))
    cell(plain.send("others", b"beside it"))
    cell(transaction.commit())
    cell(plain.close())
    cell(in_transactions.close())
    committed = kafka.records("orders", isolation="read_committed")
    assert [record.value for record in committed] == [b"in it"]


# ── fixtures of test frameworks ──────────────────────────────────────────────────────────────────────────────────────

PYTEST_ASYNCIO: Final = """
import pytest
import pytest_asyncio
from aioproducer import Producer

SERVERS = {servers!r}

@pytest_asyncio.fixture
async def producer():
    async with Producer(bootstrap_servers=SERVERS) as producer:
        yield producer

@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared():
    producer = Producer(bootstrap_servers=SERVERS)
    await producer.start()
    yield producer
    await producer.close()

@pytest.mark.asyncio
@pytest.mark.parametrize("number", [0, 1])
async def test_own(producer, number):
    assert (await producer.send("own", b"v")).offset == number

@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", [0, 1])
async def test_shared(shared, number):
    delivery = await shared.submit("shared", b"v")
    assert (await delivery).offset == number
"""

ANYIO: Final = """
import pytest
from aioproducer import Producer

SERVERS = {servers!r}

@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

@pytest.fixture
async def producer(anyio_backend):
    async with Producer(bootstrap_servers=SERVERS) as producer:
        yield producer

@pytest.fixture(scope="module")
async def shared(anyio_backend):
    producer = Producer(bootstrap_servers=SERVERS)
    await producer.start()
    yield producer
    await producer.close()

@pytest.mark.anyio
async def test_own(producer):
    assert (await producer.send("own", b"v")).has_offset

@pytest.mark.anyio
async def test_shared(shared):
    delivery = await shared.submit("shared", b"v")
    assert (await delivery).has_offset
"""


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (PYTEST_ASYNCIO, ["-o", "asyncio_mode=strict"]),
        (PYTEST_ASYNCIO, ["-o", "asyncio_mode=auto"]),
        (ANYIO, ["-p", "no:asyncio"]),
    ],
    ids=["pytest-asyncio strict", "pytest-asyncio auto", "anyio"],
)
def test_a_fixture_of_any_scope_may_hold_the_producer(
    kafka: BlockingCluster, tmp_path: Path, text: str, arguments: list[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (tmp_path / "test_it.py").write_text(text.format(servers=kafka.bootstrap_servers))
    if "-p" in arguments:
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *arguments, "test_it.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 passed" in ended.stdout


# ── asyncio's debug mode and eager tasks ─────────────────────────────────────────────────────────────────────────────

DEBUG: Final = """
import asyncio
import logging

from aioproducer import Producer, ProducerRecord

logging.basicConfig(level=logging.WARNING, format="LOGGED %(name)s %(message)s")

async def main():
    loop = asyncio.get_running_loop()
    assert loop.get_debug()
    loop.slow_callback_duration = 5  # what the machine does besides is not the matter here
    async with Producer(bootstrap_servers={servers!r}, compression_type="gzip") as producer:
        await asyncio.gather(*[producer.send("orders", b"v") for _ in range(50)])
        delivery = await producer.submit("orders", b"x" * 100_000)
        delivery.add_done_callback(lambda delivery: None)
        await delivery
        producer.submit_nowait("orders", b"v")
        await producer.send_all([ProducerRecord("orders", b"v")] * 10)
        task = asyncio.create_task(producer.send("orders", b"v"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await producer.flush()
        assert await asyncio.to_thread(producer.thread_entry().send, "orders", b"v")
    async with Producer(bootstrap_servers={servers!r}, transactional_id="debug") as producer:
        async with producer.transaction():
            await producer.send("orders", b"v")

asyncio.run(main(), debug=True)
"""


def test_debug_mode_finds_nothing(kafka: BlockingCluster, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(DEBUG.format(servers=kafka.bootstrap_servers))
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", program],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert ended.stderr == ""
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has eager tasks since Python 3.12")
def test_eager_tasks_keep_the_order_and_the_outcomes(kafka: BlockingCluster) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - 3.11 has none
        async with Producer(bootstrap_servers=kafka.bootstrap_servers) as producer:
            await producer.partitions_for("orders")
            sends = [asyncio.create_task(producer.send("orders", b"%d" % number)) for number in range(100)]
            assert [(await task).offset for task in sends] == list(range(100))
            cancelled = asyncio.create_task(producer.send("orders", b"100"))
            cancelled.cancel()  # an eager task has called already: the record is accepted
            await asyncio.wait([cancelled])
            await producer.flush()
        eager = Producer(bootstrap_servers=kafka.bootstrap_servers, transactional_id="eager")
        async with eager, eager.transaction():
            await asyncio.gather(*[eager.send("in", b"v") for _ in range(10)])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main(), debug=True)
    assert values(kafka) == [b"%d" % number for number in range(101)]
    assert len(kafka.records("in", isolation="read_committed")) == 10

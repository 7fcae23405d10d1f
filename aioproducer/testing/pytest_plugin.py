"""Fixtures for pytest: a Kafka for each test. Loads nothing but this file until one of them is asked for.

    def test_it(kafka):                                  # any client, no event loop
        confluent_kafka.Producer({"bootstrap.servers": ",".join(kafka.bootstrap_servers)})
        kafka.expect_blocking("orders", count=1)

    async def test_it_too(kafka, kafka_producer):        # under anyio's plugin or pytest-asyncio, in any mode
        await kafka_producer.send("orders", b"value")
        await kafka.expect("orders", values=[b"value"])

`--kafka=embedded` (the default), `--kafka=real` (starts Apache Kafka; needs Java) or `--kafka=HOST:PORT` (one that
runs) says which. Tests marked `kafka_real` are skipped without a real one.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Protocol, Unpack

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anyio.from_thread import BlockingPortal

    from aioproducer import Producer
    from aioproducer.testing._cluster import BlockingCluster, ClusterSettings
    from aioproducer.testing._fixtures import Kafka

EMBEDDED: Final = "embedded"
REAL: Final = "real"


class ClusterFactory(Protocol):
    """What the fixture `kafka_cluster` gives."""

    __module__: str = "aioproducer.testing"  # as public_in has it, which this file does without

    def __call__(self, brokers: int = 3, **settings: Unpack[ClusterSettings]) -> BlockingCluster:
        """Start another embedded cluster; it ends with the test. Takes what EmbeddedCluster takes."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --kafka."""
    parser.getgroup("kafka").addoption(
        "--kafka",
        default=EMBEDDED,
        metavar="embedded|real|HOST:PORT",
        help="the Kafka of the fixture `kafka`: in-process, Apache Kafka started for the run, or one that runs already",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and refuse an option that means nothing."""
    config.addinivalue_line("markers", "kafka_real: needs a real Kafka: skipped unless --kafka=real or HOST:PORT")
    chosen = str(config.getoption("--kafka"))
    if chosen not in (EMBEDDED, REAL) and ":" not in chosen:
        raise pytest.UsageError(f"--kafka={chosen} is neither embedded, nor real, nor HOST:PORT")


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip what needs a real Kafka when there is none."""
    if config.getoption("--kafka") != EMBEDDED:
        return
    skip = pytest.mark.skip(reason="needs a real Kafka: --kafka=real or --kafka=HOST:PORT")
    for item in items:
        if item.get_closest_marker("kafka_real") is not None:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def _kafka_portal() -> Iterator[BlockingPortal]:
    """The thread in which embedded clusters live, and from which real ones are asked."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="session")
def _kafka_servers(pytestconfig: pytest.Config) -> Iterator[list[str] | None]:
    """Where the real Kafka is; None when the embedded one is wanted."""
    chosen = str(pytestconfig.getoption("--kafka"))
    if chosen == EMBEDDED:
        yield None
    elif chosen != REAL:
        yield chosen.split(",")
    else:
        from aioproducer.testing import RealCluster

        with RealCluster() as cluster:
            yield cluster.bootstrap_servers.split(",")


@pytest.fixture
def kafka(
    _kafka_portal: BlockingPortal, _kafka_servers: list[str] | None, request: pytest.FixtureRequest
) -> Iterator[Kafka]:
    """A Kafka with no topics of other tests: see `aioproducer.testing._fixtures.Kafka`."""
    from aioproducer.testing._fixtures import Kafka

    name: str = request.node.name
    with Kafka.open(_kafka_portal, _kafka_servers, name) as opened:
        yield opened


@pytest.fixture
def kafka_cluster(_kafka_portal: BlockingPortal) -> Iterator[ClusterFactory]:
    """Makes embedded clusters of several brokers: `kafka_cluster(brokers=3)`. They end with the test."""
    from aioproducer.testing import EmbeddedCluster

    with ExitStack() as stack:

        def start(brokers: int = 3, **settings: Unpack[ClusterSettings]) -> BlockingCluster:
            return stack.enter_context(EmbeddedCluster.running_in(_kafka_portal, brokers, **settings))

        yield start


@pytest.fixture
def kafka_producer(kafka: Kafka, request: pytest.FixtureRequest) -> Iterator[Producer[bytes, bytes]]:
    """A producer connected to `kafka`, with short timeouts, for an async test.

    It is started and closed around the test function, in the test's own event loop; other fixtures can't send with it.
    """
    # An async fixture would need one plugin or another to run it. So the test itself is wrapped: whoever runs the test
    # runs this too, in the same task.
    test: Any = request.node  # its `obj` is pytest's, untyped
    function = test.obj
    if not inspect.iscoroutinefunction(function):
        pytest.fail("kafka_producer is for async tests; here make a Producer in the event loop that you use", False)
    producer = kafka.producer()

    @functools.wraps(function)
    async def with_producer(*args: Any, **kwargs: Any) -> Any:  # a test may return anything
        async with producer:
            return await function(*args, **kwargs)

    test.obj = with_producer
    yield producer
    test.obj = function

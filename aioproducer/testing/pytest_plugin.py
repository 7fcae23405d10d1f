"""Fixtures for pytest: a Kafka for each test. Loads nothing but this file until one of them is asked for.

    def test_it(kafka):                                  # any client, no event loop
        confluent_kafka.Producer({"bootstrap.servers": ",".join(kafka.bootstrap_servers)})
        kafka.expect_blocking("orders", count=1)

    async def test_it_too(kafka, kafka_producer):        # under anyio's plugin or pytest-asyncio, in any mode
        await kafka_producer.send("orders", b"value")
        await kafka.expect("orders", values=[b"value"])

`--aioproducer-kafka=embedded` (the default), `=real` (starts Apache Kafka; needs Java) or `=HOST:PORT` (one that runs)
says which. Tests marked `aioproducer_kafka_real` are skipped without a real one. `--kafka` and the marker `kafka_real`
mean the same where the project has none of its own.
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
OPTION: Final = "--aioproducer-kafka"
SHORT_OPTION: Final = "--kafka"
MARKER: Final = "aioproducer_kafka_real"
SHORT_MARKER: Final = "kafka_real"
_MARKERS: Final = pytest.StashKey[list[str]]()


class ClusterFactory(Protocol):
    """What the fixture `kafka_cluster` gives."""

    __module__: str = "aioproducer.testing"  # as public_in has it, which this file does without

    def __call__(self, brokers: int = 3, **settings: Unpack[ClusterSettings]) -> BlockingCluster:
        """Start another embedded cluster; it ends with the test. Takes what EmbeddedCluster takes."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    _add_option(parser, OPTION)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Iterator[None]:
    """Declare the option's short name, unless the project or another plugin has it.

    1. This plugin is loaded, as it is installed. 2. The project's conftest.py declares --kafka for itself. 3. Had we
    taken it, pytest would not start. So we look when all have declared theirs.
    """
    yield
    try:
        _, unknown = parser.parse_known_and_unknown_args([f"{SHORT_OPTION}={EMBEDDED}"])
    except pytest.UsageError:  # known, and does not take such a value
        return
    if unknown:
        _add_option(parser, SHORT_OPTION)


def _add_option(parser: pytest.Parser, name: str) -> None:
    parser.getgroup("aioproducer").addoption(
        name,
        dest="aioproducer_kafka",
        default=EMBEDDED,
        metavar="embedded|real|HOST:PORT",
        help="the Kafka of the fixture `kafka`: in-process, Apache Kafka started for the run, or one that runs already",
    )


@pytest.hookimpl(trylast=True)  # the project's own markers come first
def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and refuse an option that means nothing."""
    markers = [MARKER] if _is_declared(config, SHORT_MARKER) else [MARKER, SHORT_MARKER]
    for marker in markers:
        config.addinivalue_line("markers", f"{marker}: needs a real Kafka: skipped unless {OPTION}=real or HOST:PORT")
    config.stash[_MARKERS] = markers
    chosen = _chosen(config)
    if chosen not in (EMBEDDED, REAL) and ":" not in chosen:
        raise pytest.UsageError(f"{OPTION}={chosen} is neither embedded, nor real, nor HOST:PORT")


def _is_declared(config: pytest.Config, marker: str) -> bool:
    lines: list[str] = config.getini("markers")
    return any(line.partition(":")[0].partition("(")[0].strip() == marker for line in lines)


def _chosen(config: pytest.Config) -> str:
    return str(config.getoption("aioproducer_kafka"))


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip what needs a real Kafka when there is none."""
    if _chosen(config) != EMBEDDED:
        return
    skip = pytest.mark.skip(reason=f"needs a real Kafka: {OPTION}=real or {OPTION}=HOST:PORT")
    for item in items:
        if any(item.get_closest_marker(marker) is not None for marker in config.stash[_MARKERS]):
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
    chosen = _chosen(pytestconfig)
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
def kafka_tls(
    _kafka_portal: BlockingPortal, _kafka_servers: list[str] | None, request: pytest.FixtureRequest
) -> Iterator[Kafka]:
    """As `kafka`, over TLS: `kafka_tls.client_settings` has what a client needs. Always embedded."""
    yield from _secured(_kafka_portal, _kafka_servers, request, security_protocol="SSL")


@pytest.fixture
def kafka_sasl(
    _kafka_portal: BlockingPortal, _kafka_servers: list[str] | None, request: pytest.FixtureRequest
) -> Iterator[Kafka]:
    """As `kafka`, with SASL in the clear and the user alice: see `kafka_sasl.client_settings`. Always embedded."""
    users = {"alice": "alice-secret"}
    yield from _secured(_kafka_portal, _kafka_servers, request, security_protocol="SASL_PLAINTEXT", users=users)


def _secured(
    portal: BlockingPortal,
    servers: list[str] | None,
    request: pytest.FixtureRequest,
    **settings: Unpack[ClusterSettings],
) -> Iterator[Kafka]:
    from aioproducer.testing._fixtures import Kafka

    if servers is not None:
        pytest.skip(f"a cluster with security is an embedded one: {OPTION}=embedded")
    name: str = request.node.name
    with Kafka.open(portal, None, name, **settings) as opened:
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

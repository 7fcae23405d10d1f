"""What all tests share: the event loops they run on, and real Kafka clusters that are started once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from aioproducer.testing import RealCluster
from aioproducer.testing._real_kafka import has_jars, has_java, has_maven

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KAFKA_SECONDS: Final = 180  # what downloads the jars or starts the cluster counts for the test that is first


BACKENDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=BACKENDS.values(), ids=list(BACKENDS))
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The event loop: every async test runs on each of the three."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@dataclass(frozen=True, slots=True)
class GivenKafka:
    """A cluster that somebody else runs: there is nothing to do with it but to connect."""

    bootstrap_servers: str


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[RealCluster | GivenKafka]:
    """One real Kafka for all tests, to connect to: KAFKA_BOOTSTRAP_SERVERS, or a node that is started for it.

    A test that kills, pauses or configures nodes makes its own RealCluster; one node takes a second.
    """
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield GivenKafka(given)
        return
    with RealCluster(nodes=1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def real_kafka_3() -> Iterator[RealCluster]:
    """Three nodes for all tests; whoever stops one starts it again. KAFKA_BOOTSTRAP_SERVERS does not replace it."""
    with RealCluster(nodes=3) as cluster:
        yield cluster


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Give tests marked kafka the time they need; skip them, in one line, where they can't run and need not."""
    marked = [item for item in items if item.get_closest_marker("kafka")]
    reason = _why_not_kafka(config)
    for item in marked:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(KAFKA_SECONDS))
        if reason and not _uses_given_cluster_only(item):
            item.add_marker(pytest.mark.skip(reason=reason))


def _why_not_kafka(config: pytest.Config) -> str:
    if os.environ.get("REQUIRE_ALL") == "1":
        return ""  # whatever is missing fails the tests that need it
    if hasattr(config, "workerinput"):
        return "tests marked kafka share one cluster: run them without -n"
    missing = [] if has_java() else ["Java 17"]
    if not has_jars() and not has_maven():
        missing.append("Maven")
    if not missing:
        return ""
    return f"{' and '.join(missing)} missing: `make system`"


def _uses_given_cluster_only(item: pytest.Item) -> bool:
    names: Sequence[str] = getattr(item, "fixturenames", ())
    return bool(os.environ.get("KAFKA_BOOTSTRAP_SERVERS")) and "real_kafka" in names

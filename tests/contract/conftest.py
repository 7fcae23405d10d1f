"""One suite, two kinds of cluster, three event loops.

On the embedded cluster every test runs on every loop. On real Kafka every test runs on asyncio; those marked
real_subset run on uvloop and trio too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import pytest

from aioproducer.testing._cluster import EmbeddedCluster
from tests.contract.support import Cluster, HasBootstrapServers, producer_tasks, until

LOOPS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests that take a `cluster` one of each kind, with the loops that belong to it."""
    if "anyio_backend" not in metafunc.fixturenames:
        return
    if "cluster" not in metafunc.fixturenames:
        metafunc.parametrize("anyio_backend", list(LOOPS.values()), ids=list(LOOPS), indirect=True)
        return
    is_in_subset = metafunc.definition.get_closest_marker("real_subset") is not None
    cases = [pytest.param("embedded", loop, id=f"embedded-{name}") for name, loop in LOOPS.items()]
    cases += [
        pytest.param("real", loop, id=f"real-{name}", marks=pytest.mark.kafka)
        for name, loop in LOOPS.items()
        if name == "asyncio" or is_in_subset
    ]
    if "asyncio_only" in metafunc.fixturenames:
        cases = [case for case in cases if "trio" not in str(case.id)]
    metafunc.parametrize(("cluster_kind", "anyio_backend"), cases, indirect=["anyio_backend"])


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The event loop. Which ones depends on the cluster: see above."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@pytest.fixture
def asyncio_only() -> None:
    """Asked for by tests of what only asyncio has, so that they are not made for trio."""


@pytest.fixture
def real_cluster(request: pytest.FixtureRequest, cluster_kind: str) -> HasBootstrapServers | None:
    """The real Kafka, started outside of any event loop, or None when it is not needed."""
    return request.getfixturevalue("real_kafka") if cluster_kind == "real" else None


@pytest.fixture
async def cluster(
    anyio_backend: Any, cluster_kind: Literal["embedded", "real"], real_cluster: HasBootstrapServers | None
) -> AsyncIterator[Cluster]:
    """A cluster; when the test is over, no task of a producer may be left."""
    del anyio_backend
    if real_cluster is not None:
        yield Cluster(cluster_kind, real_cluster)
        await until(lambda: not producer_tasks())
        return
    async with EmbeddedCluster(brokers=1, partitions=1) as broker:
        yield Cluster(cluster_kind, broker)
        await until(lambda: not producer_tasks())


@pytest.fixture
async def embedded(anyio_backend: Any) -> AsyncIterator[EmbeddedCluster]:
    """An embedded cluster of three brokers, for tests that break it."""
    del anyio_backend
    async with EmbeddedCluster(brokers=3, partitions=1) as broker:
        yield broker
        await until(lambda: not producer_tasks())

"""Transactions on three nodes of real Kafka, either version: the suite of every cluster, loops with consumers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer.testing import RealCluster
from tests.contract.support import Cluster
from tests.contract.transactions_suite import *  # noqa: F403 - the tests that hold for every cluster
from tests.contract.transactions_suite import Scene
from tests.kafka.transactions import COUNT, copy_with_aiokafka, copy_with_confluent_kafka, fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

EXPECTED = sorted((b"%02d" % number).replace(b"0", b"zero ") for number in range(COUNT))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The event loops; uvloop adds nothing here that it does not have on the embedded cluster."""
    return request.param, {}


@pytest.fixture(scope="module", params=[2, 0], ids=["version-2", "version-0"])
def kafka(request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    """Three nodes that look often for transactions that are open for too long; the version is a feature of them."""
    properties = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "200"}
    with RealCluster(nodes=3, transaction_version=request.param, properties=properties) as cluster:
        yield cluster


@pytest.fixture
def scene(kafka: RealCluster) -> Scene:
    """It, for the tests that hold for every cluster."""
    return Scene(Cluster("real", kafka), timeout_ms=500, noticed_after=1.5)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"], indirect=False)
async def test_a_loop_with_aiokafka_copies_every_record_once(scene: Scene, anyio_backend: Any) -> None:
    del anyio_backend
    source, target = await fill(scene)
    await copy_with_aiokafka(scene, source, target)
    assert await scene.committed(target, COUNT) == EXPECTED
    assert len(await scene.cluster.read(target)) > COUNT


async def test_a_loop_with_confluent_kafka_copies_every_record_once(scene: Scene) -> None:
    source, target = await fill(scene)
    await copy_with_confluent_kafka(scene, source, target)
    assert await scene.committed(target, COUNT) == EXPECTED
    assert len(await scene.cluster.read(target)) > COUNT

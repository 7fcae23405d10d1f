"""Real Kafka is hurt while records flow: every acknowledged record is there once and in order, and none has failed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any, Final

import pytest

from aioproducer.testing import RealCluster
from tests.chaos.campaign import Campaign

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]

SEED: Final = int(os.environ.get("SEED", "20240903"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RealCluster]:
    """Three nodes of our own, behind proxies: what is done to them does not spare the next test."""
    with RealCluster(nodes=3, proxied=True, min_insync_replicas=2) as cluster:
        yield cluster


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_crashes_and_upgrades(cluster: RealCluster, anyio_backend: Any) -> None:
    del anyio_backend
    report = await Campaign(cluster, SEED, log.info).run(["leader killed", "restarts in turn", "leaders moved"])
    log.info("%s", report.table())
    assert report.is_kept, (report.verdict.complaints(), report.errors)
    assert report.calls > 1_000


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_silence_and_broken_connections(cluster: RealCluster, anyio_backend: Any) -> None:
    del anyio_backend
    report = await Campaign(cluster, SEED + 1, log.info).run(
        ["leader paused", "answers cut", "requests cut", "connections reset", "two of three killed"]
    )
    log.info("%s", report.table())
    assert report.is_kept, (report.verdict.complaints(), report.errors)
    assert report.calls > 1_000

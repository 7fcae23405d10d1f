"""Amounts are moved between accounts while processes and brokers crash: no read ever finds a sum that is another."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from aioproducer.testing import RealCluster
from tests.transfer.bank import Bank, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

SEED: Final = int(os.environ.get("SEED") or 20240903)
SHORT: Final = Plan(SEED, transfers=300, process_crashes=5, broker_crashes=1)
LONG: Final = Plan(SEED, transfers=int(os.environ.get("TRANSFERS") or 10_000), process_crashes=60, broker_crashes=25)
IS_LONG: Final = os.environ.get("LONG") == "1"

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(3600 if IS_LONG else 180)]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """One loop: the producer is in another process."""
    return "asyncio", {}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RealCluster]:
    """Three nodes of our own, the dead among which are noticed in two seconds."""
    properties = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "250"}
    with RealCluster(nodes=3, properties=properties) as cluster:
        yield cluster


async def test_no_crash_changes_the_sum_of_accounts(cluster: RealCluster, capsys: pytest.CaptureFixture[str]) -> None:
    plan = LONG if IS_LONG else SHORT
    report = await Bank(cluster, plan).run()
    log.info("%s", report)
    if IS_LONG:
        with capsys.disabled():
            sys.stdout.write(f"\n{report}\n")
    assert report.process_crashes == plan.process_crashes
    assert report.broker_crashes == plan.broker_crashes
    assert report.reads > 5
    assert report.aborted_records > 0, "not one transaction was aborted"

"""A short form of `make soak`: tens of thousands of sends through failures, and the process is as it was before."""

from __future__ import annotations

import logging
from typing import Any, Final

import pytest

from aioproducer import RecordMetadata
from aioproducer.errors import DeliveryTimeoutError
from tests.soak.running import RunningLedger
from tests.soak.soak import Sample, Soak, growth

RECORDS: Final = 50_000
SEED: Final = 20_240_904

log = logging.getLogger(__name__)


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_sends_through_failures_keep_every_promise_in_flat_memory(anyio_backend: Any) -> None:
    del anyio_backend
    soak = Soak(SEED, log.info)
    await soak.run(RECORDS, rounds=6)
    assert soak.ledger.violations == []
    assert soak.ledger.acknowledged > 0.9 * RECORDS
    assert soak.samples[-1].faults >= 6  # one in each round at least; how many more depends on how long a round takes
    assert growth(soak.samples) == "", [each.line() for each in soak.samples]


def acknowledged(ledger: RunningLedger, offset: int) -> int:
    number = ledger.call()
    ledger.acknowledge(number, RecordMetadata("t", 0, offset, 0))
    return number


def test_the_ledger_keeps_nothing_of_what_is_settled() -> None:
    ledger = RunningLedger()
    for offset in range(3):
        ledger.find(0, offset, acknowledged(ledger, offset))
    ledger.end()
    assert ledger.violations == []
    assert ledger.open_count == 0


def test_the_ledger_tells_of_a_record_that_is_lost() -> None:
    ledger = RunningLedger()
    acknowledged(ledger, 0)
    ledger.end()
    assert ledger.violations == ["record 0 was acknowledged at (0, 0), and is lost"]


def test_the_ledger_tells_of_a_record_that_is_written_twice() -> None:
    ledger = RunningLedger()
    number = acknowledged(ledger, 0)
    ledger.find(0, 0, number)
    ledger.find(0, 1, number)
    assert ledger.violations == ["record 0 is at (0, 1), though it failed, or was found before"]


def test_the_ledger_tells_of_a_record_out_of_order() -> None:
    ledger = RunningLedger()
    earlier, later = acknowledged(ledger, 1), acknowledged(ledger, 0)
    ledger.find(0, 0, later)
    ledger.find(0, 1, earlier)
    assert ledger.violations == ["record 0 is at (0, 1), behind record 1, a later call"]


def test_the_ledger_tells_of_a_record_that_is_elsewhere() -> None:
    ledger = RunningLedger()
    ledger.find(0, 1, acknowledged(ledger, 0))
    assert ledger.violations == ["record 0 was acknowledged at (0, 0), and is at (0, 1)"]


def test_the_ledger_tells_of_a_record_that_failed_as_not_written_and_is_there() -> None:
    ledger = RunningLedger()
    for is_written in (True, False):
        ledger.fail(ledger.call(), DeliveryTimeoutError("too late", possibly_written=is_written))
    ledger.find(0, 0, 0)
    ledger.find(0, 1, 1)
    assert ledger.violations == ["record 1 is at (0, 1), though it failed, or was found before"]


def test_the_ledger_tells_of_a_record_without_outcome_and_of_one_with_two() -> None:
    ledger = RunningLedger()
    number = acknowledged(ledger, 0)
    ledger.find(0, 0, number)
    ledger.acknowledge(number, RecordMetadata("t", 0, 0, 0))
    ledger.call()
    ledger.end()
    assert ledger.violations == ["record 0 has two outcomes", "record 1 has no outcome"]


@pytest.mark.parametrize(
    ("later", "told"),
    [
        (Sample(6, 1.0, 100 * 2**20, 50_000, 16, 12, 9), ""),
        (Sample(6, 1.0, 105 * 2**20, 50_000, 16, 12, 9), "memory grew by 5.0 MiB"),
        (Sample(6, 1.0, 100 * 2**20, 52_000, 16, 12, 9), "there are 2,000 objects more"),
        (Sample(6, 1.0, 100 * 2**20, 50_000, 20, 12, 9), "descriptors stay open"),
        (Sample(6, 1.0, 100 * 2**20, 50_000, 16, 22, 9), "tasks stay alive"),
    ],
)
def test_growth_is_told(later: Sample, told: str) -> None:
    assert growth([Sample(1, 0.5, 100 * 2**20, 50_000, 16, 12, 1)] * 2 + [later] * 2) == told

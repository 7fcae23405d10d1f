"""Which version of transactions the cluster has agreed on, and when the next transaction takes it over."""

from __future__ import annotations

import pytest

from aioproducer._core.transactions.feature import TransactionFeature
from tests.unit._core.transactional import broker_versions


def test_without_an_agreement_it_is_version_1() -> None:
    assert TransactionFeature().version == 1
    assert TransactionFeature().adopt() == 1


@pytest.mark.parametrize(("level", "version"), [(0, 1), (1, 1), (2, 2), (3, 2)])
def test_an_agreement_counts_from_when_it_is_adopted(level: int, version: int) -> None:
    feature = TransactionFeature()
    feature.on_versions(broker_versions(level, epoch=1))
    assert feature.version == 1
    assert feature.adopt() == version
    assert feature.version == version


def test_the_newest_agreement_counts_whoever_tells_it_last() -> None:
    feature = TransactionFeature()
    feature.on_versions(broker_versions(2, epoch=5))
    feature.on_versions(broker_versions(0, epoch=4))
    assert feature.adopt() == 2
    feature.on_versions(broker_versions(0, epoch=6))
    assert feature.adopt() == 1

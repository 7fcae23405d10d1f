"""ProducerStatus: what says of itself that nothing is known is not ready."""

from __future__ import annotations

import dataclasses

import pytest

from aioproducer import ProducerStatus


def test_without_knowledge_it_is_not_ready() -> None:
    status = ProducerStatus()
    assert not status.is_ready
    assert dataclasses.astuple(status) == (False, 0, 0, 0.0, 0.0, None, None)


def test_it_is_a_value() -> None:
    assert ProducerStatus(is_ready=True) == ProducerStatus(is_ready=True) != ProducerStatus()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(ProducerStatus(), "is_ready", True)  # noqa: B010 - the type checkers know better

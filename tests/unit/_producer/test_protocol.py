"""ProducerProtocol has the arguments of Producer, so that what fits the one fits the other."""

from __future__ import annotations

import inspect

import pytest

from aioproducer import Producer, ProducerProtocol
from aioproducer.testing import RecordingProducer


@pytest.mark.parametrize("name", ["send", "submit", "submit_nowait", "send_all", "flush"])
@pytest.mark.parametrize("kind", [Producer, RecordingProducer])
def test_arguments_are_the_same_by_name_and_order(kind: type, name: str) -> None:
    said = inspect.signature(getattr(ProducerProtocol, name)).parameters
    has = inspect.signature(getattr(kind, name)).parameters
    assert list(said) == list(has)
    assert [each.kind for each in said.values()] == [each.kind for each in has.values()]


def test_it_has_the_sending_half_and_no_more() -> None:
    public = {name for name in vars(ProducerProtocol) if not name.startswith("_")}
    assert public == {"send", "submit", "submit_nowait", "send_all", "flush"}

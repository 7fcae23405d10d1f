"""Names of other clients, asked of a producer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aioproducer import Producer, ProducerStatus, Transaction
from aioproducer._producer.elsewhere import NAMES

PRODUCER: Any = Producer(bootstrap_servers="a:1")


@pytest.mark.parametrize("name", NAMES)
def test_another_clients_method_is_told_with_what_does_it_here(name: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(PRODUCER, name)
    whose, here = NAMES[name]
    told = f"'Producer' object has no attribute '{name}': that is the name of {whose}; here it is {here}"
    assert str(caught.value) == told
    assert caught.value.name == name
    assert caught.value.obj is PRODUCER


@pytest.mark.parametrize("name", NAMES)
def test_what_does_it_here_exists(name: str) -> None:
    assert not hasattr(Producer, name)
    methods = re.findall(r"`(?:await )?(\w+)", NAMES[name][1])
    assert methods or name == "poll"
    for method in methods:
        assert hasattr(Producer, method) or hasattr(Transaction, method), method
    if "is_ready" in NAMES[name][1]:
        assert hasattr(ProducerStatus(), "is_ready")


def test_a_name_of_nobody_is_told_in_pythons_words() -> None:
    with pytest.raises(AttributeError, match=r"^'Producer' object has no attribute 'sendd'$"):
        PRODUCER.sendd  # noqa: B018
    assert not hasattr(PRODUCER, "__len__")


def test_a_block_without_async_is_told_so() -> None:
    with pytest.raises(TypeError, match="use `async with`"), PRODUCER:
        raise AssertionError

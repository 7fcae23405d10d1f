"""Whose turn it is."""

from __future__ import annotations

import pytest

from aioproducer.errors import AuthenticationError, IllegalStateError, ProtocolError
from aioproducer.sasl._turns import SHOWN_CHARACTERS, Exchange, Turn, json_object, shown


def test_an_exchange_begins_once() -> None:
    exchange = Exchange("X")
    exchange.begin()
    assert exchange.turn is Turn.THEIRS_FIRST
    with pytest.raises(IllegalStateError, match="X: the exchange has begun"):
        exchange.begin()


@pytest.mark.parametrize("turn", [Turn.OURS, Turn.OVER])
def test_an_answer_out_of_turn_is_an_error(turn: Turn) -> None:
    exchange = Exchange("X")
    exchange.turn = turn
    with pytest.raises(IllegalStateError, match="no answer is awaited"):
        exchange.answered()


@pytest.mark.parametrize("turn", [Turn.THEIRS_FIRST, Turn.THEIRS_LAST])
def test_an_answer_ends_it_unless_it_goes_on(turn: Turn) -> None:
    exchange = Exchange("X")
    exchange.turn = turn
    assert exchange.answered() is turn
    assert exchange.turn is Turn.OVER


def test_errors_name_the_mechanism() -> None:
    assert str(Exchange("X").refused("no")) == "X: no"
    assert isinstance(Exchange("X").refused("no"), AuthenticationError)
    assert isinstance(Exchange("X").malformed("no"), ProtocolError)


def test_a_brokers_words_are_escaped_and_cut() -> None:
    assert shown("a\n\x1b[31mé") == r"'a\n\x1b[31m\xe9'"
    assert len(shown("x" * 10_000)) < SHOWN_CHARACTERS + 10


@pytest.mark.parametrize("document", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_json_object_is_none(document: bytes) -> None:
    assert json_object(document) is None
    with pytest.raises(ProtocolError, match="not a JSON object"):
        Exchange("X").json(document)


def test_a_json_object_is_a_dict() -> None:
    assert Exchange("X").json(b'{"a":1}') == {"a": 1}

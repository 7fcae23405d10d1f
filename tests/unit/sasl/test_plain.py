"""PLAIN."""

from __future__ import annotations

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError, ProtocolError
from aioproducer.sasl._plain import Plain
from tests.unit.sasl.canary import CANARY, error_of


def test_its_message_is_that_of_rfc_4616() -> None:
    assert Plain("tim", "tanstaaftanstaaf").first() == b"\0tim\0tanstaaftanstaaf"
    # RFC 4616's other example: 31 bytes of UTF-8.
    assert Plain("Kurt", Secret("xipj3plmq")).first() == b"\0Kurt\0xipj3plmq"


def test_credentials_are_sent_as_utf8_and_unchanged() -> None:
    assert Plain(" é,=", "\u00aa\u00ad \n").first() == "\0 é,=\0\u00aa\u00ad \n".encode()


def test_an_empty_answer_ends_it() -> None:
    mechanism = Plain("alice", CANARY)
    mechanism.first()
    assert mechanism.next(b"") is None  # type: ignore[func-returns-value]


def test_an_answer_with_content_is_malformed() -> None:
    mechanism = Plain("alice", CANARY)
    mechanism.first()
    error = error_of(lambda: mechanism.next(b"what"))
    assert isinstance(error, ProtocolError)
    assert str(error) == "PLAIN: the broker's answer has 4 bytes where none are expected"


NUL = "\0" + CANARY


def test_what_cannot_be_sent_is_refused_with_every_problem() -> None:
    error = error_of(lambda: Plain("a\0b", NUL))
    assert isinstance(error, ConfigurationError)
    assert error.problems == (
        "the user name for PLAIN contains NUL at 1",
        "the password for PLAIN contains NUL at 0",
    )
    with pytest.raises(ConfigurationError, match=r"needs a user name.*needs a password"):
        Plain("", "")
    with pytest.raises(ConfigurationError, match="lone surrogate"):
        Plain("\udc80", "x")


def test_a_refusal_is_explained() -> None:
    assert Plain("alice", CANARY).hint == "unknown user 'alice', or wrong password"

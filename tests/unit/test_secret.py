"""Secret shows itself to nobody."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from typing import Any

import pytest

from aioproducer._secret import MASK, Secret
from tests.unit.sasl.canary import CANARY, assert_hidden, assert_object_hides


@pytest.mark.parametrize("value", [CANARY, CANARY.encode(), Secret(CANARY)], ids=["str", "bytes", "Secret"])
def test_no_text_has_it(value: Any) -> None:
    secret = Secret(value)
    assert repr(secret) == str(secret) == f"{secret}" == MASK
    assert_object_hides(secret)
    assert secret.reveal() == CANARY
    assert secret.reveal_bytes() == CANARY.encode()


def test_a_width_fills_the_mask() -> None:
    assert f"{Secret(CANARY):>20}" == MASK.rjust(20)


def test_a_log_line_has_it_not(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("%s %r", Secret(CANARY), Secret(CANARY))
    assert_hidden(caplog.text)


def test_a_traceback_with_locals_has_it_not() -> None:
    def fails(given: Secret) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        fails(Secret(CANARY))
    assert_hidden("".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()))


def test_pydantics_kind_is_taken() -> None:
    class SecretStr:
        def get_secret_value(self) -> str:
            return CANARY

    assert Secret(SecretStr()).reveal() == CANARY


def test_it_is_equal_to_its_like_only() -> None:
    assert Secret("a") == Secret(b"a")
    assert hash(Secret("a")) == hash(Secret(b"a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_an_empty_one_is_false() -> None:
    assert not Secret("")
    assert Secret("x")


def test_it_cannot_be_changed_and_a_copy_is_itself() -> None:
    secret: Any = Secret(CANARY)
    with pytest.raises(AttributeError, match="cannot be changed"):
        secret._value = b""
    with pytest.raises(AttributeError, match="cannot be changed"):
        del secret._value
    assert copy.copy(secret) is copy.deepcopy(secret) is secret


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret(CANARY), protocol)


class Odd:
    """No secret, and with a repr that tells."""

    def __repr__(self) -> str:
        return CANARY


ODD: Any = Odd()
SURROGATE = CANARY + "\udc80"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Secret(ODD), TypeError, "not Odd"),
        (lambda: Secret(SURROGATE), ValueError, f"lone surrogate at {len(CANARY)}"),
        (lambda: Secret(CANARY.encode() + b"\xff").reveal(), ValueError, f"byte {len(CANARY)} is not UTF-8"),
    ],
    ids=["other type", "surrogate", "no text"],
)
def test_errors_show_nothing_of_it(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        make()
    assert_hidden("".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()))

"""A secret that must not be seen, and where it is looked for."""

from __future__ import annotations

import base64
import copy
import pickle
import traceback
from typing import TYPE_CHECKING, Final

import pytest

from aioproducer.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY: Final = "CANARY.swordfish"
FORMS: Final = (
    CANARY,
    base64.b64encode(CANARY.encode()).decode().rstrip("="),
    CANARY.encode().hex(),
)


def assert_hidden(text: str) -> None:
    """Fail if a text has the secret, as it is, in base64 or in hexadecimal."""
    assert [form for form in FORMS if form in text] == []


def error_of(call: Callable[[], object]) -> KafkaError:
    """Return the error that a call raises, after a look at all that it tells, locals of its traceback included."""
    with pytest.raises(KafkaError) as caught:
        call()
    assert_error_hides(caught.value)
    return caught.value


def assert_error_hides(error: BaseException) -> None:
    """Fail if an error or what led to it shows the secret."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert_hidden("".join(told.format()))
    assert_hidden(f"{error!r} {error} {error.__dict__!r}")
    assert_hidden(repr(pickle.dumps(error)))


def assert_object_hides(holder: object) -> None:
    """Fail if an object shows the secret by any way of making text of it, or lets it be pickled."""
    assert_hidden(f"{holder!r} {holder!s} {holder} {[holder]} {copy.copy(holder)!r} {getattr(holder, '__dict__', '')}")
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(holder)

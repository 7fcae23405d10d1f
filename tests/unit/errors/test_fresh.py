"""An error that is raised more than once is copied."""

from __future__ import annotations

import pytest

from aioproducer.errors import DeliveryTimeoutError
from aioproducer.errors._fresh import fresh


def test_a_copy_has_everything_but_the_traceback() -> None:
    cause = OSError("gone")
    error = DeliveryTimeoutError("late", topic="t", attempts=3, possibly_written=True)
    error.__cause__ = cause
    with pytest.raises(DeliveryTimeoutError):
        raise error
    copy = fresh(error)
    assert copy is not error
    assert (str(copy), copy.topic, copy.attempts, copy.possibly_written) == ("late", "t", 3, True)
    assert (copy.__cause__, copy.__traceback__, copy.__suppress_context__) == (cause, None, True)
    assert error.__traceback__ is not None

"""The copy of an error that is raised more than once."""

from __future__ import annotations

import copy
from typing import TypeVar

from aioproducer.errors._exceptions import KafkaError

Error = TypeVar("Error", bound=KafkaError)


def fresh(error: Error) -> Error:
    """Return a copy to raise: an error is shared by all records of a batch, and each raise adds to its traceback.

    Its cause is set and not raised `from`, which the compiled form does not know.
    """
    duplicate = copy.copy(error)
    duplicate.__cause__ = error.__cause__
    duplicate.__suppress_context__ = True
    return duplicate

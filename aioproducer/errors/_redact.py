"""Exceptions of the application's own code as the log has them: class and traceback, without their words.

Serializers, partitioners, interceptors and callbacks are handed records, and the text of what they raise often quotes
one: "invalid literal for int(): 'secret'". So do the causes that hang on it. The traceback names files, lines and
functions, which is what one looks for.
"""

from __future__ import annotations

from aioproducer.errors import KafkaError


class RedactedError(Exception):
    """Stands for an exception in a log line: same class name, same traceback, no words, no causes, no notes."""


def redacted(error: BaseException) -> BaseException:
    """Return what to give to logging as `exc_info` instead of the error.

    The text of a KafkaError stays: it never quotes a record.
    """
    text = f": {error}" if isinstance(error, KafkaError) else " (its words may quote a record and are left out)"
    return RedactedError(f"{type(error).__qualname__}{text}").with_traceback(error.__traceback__)

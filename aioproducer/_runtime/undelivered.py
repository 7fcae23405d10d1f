"""Failures that nobody watches: counted, logged at a bounded rate, and told by the next flush()."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aioproducer._backend.ending import ENDS_THE_PROGRAM
from aioproducer._logger import get_logger
from aioproducer.errors import KafkaError, UndeliveredError
from aioproducer.errors._redact import redacted

_log = get_logger("aioproducer.delivery")

LOG_INTERVAL: Final = 30.0
"""Seconds between two lines about the same topic and reason."""


class Undelivered:
    """Records that failed while no task waited for them and no callback was registered.

    Attributes:
        total: how many, since start().
        on_error: told at once of those of each batch, or None.
    """

    def __init__(self) -> None:
        self.total = 0
        self.on_error: Callable[[KafkaError], object] | None = None
        self._counts: dict[str, int] = {}
        self._first: KafkaError | None = None
        self._possibly_written = False
        self._unlogged: dict[tuple[str, str], int] = {}
        self._last_logged: dict[tuple[str, str], float] = {}

    def add(self, topic: str, count: int, error: KafkaError, now: float, *, possibly_written: bool) -> None:
        """Count failures of one batch; log them, or keep them for the next line within LOG_INTERVAL.

        Args:
            topic: of all of them.
            count: of records.
            error: the first of them.
            now: seconds.
            possibly_written: one of them may be in the log all the same.
        """
        self.total += count
        self._counts[topic] = self._counts.get(topic, 0) + count
        self._first = self._first or error
        self._possibly_written = self._possibly_written or possibly_written
        key = (topic, error.name or type(error).__name__)
        self._unlogged[key] = self._unlogged.get(key, 0) + count
        last = self._last_logged.get(key)
        if last is None or now - last >= LOG_INTERVAL:
            self._write(key, error, now)
        if self.on_error is not None:
            self._tell(self.on_error, _undelivered({topic: count}, error, possibly_written=possibly_written))

    @staticmethod
    def _tell(on_error: Callable[[KafkaError], object], error: KafkaError) -> None:
        try:
            on_error(error)
        except BaseException as raised:
            if isinstance(raised, ENDS_THE_PROGRAM):
                raise
            _log.error(
                "on_error raised; the producer goes on",
                exc_info=redacted(raised),
                extra={"event_name": "on_error_failed"},
            )

    def _write(self, key: tuple[str, str], error: KafkaError | None, now: float) -> None:
        topic, reason = key
        count = self._unlogged.pop(key, 0)
        self._last_logged[key] = now
        fields = {"event_name": "records_undelivered", "topic": topic, "reason": reason, "count": count}
        _log.error(
            "%s of topic %r not delivered, and nobody waited (%s): %s",
            _records(count),
            topic,
            reason,
            error if error is not None else "see the lines before",
            extra=fields,
        )

    def write_rest(self, now: float) -> None:
        """Log what the rate limit has held back; called when the producer closes."""
        for key in list(self._unlogged):
            self._write(key, None, now)

    def take(self) -> UndeliveredError | None:
        """Return an error for the failures since the last call, or None."""
        if self._first is None:
            return None
        counts, first, possibly_written = self._counts, self._first, self._possibly_written
        self._counts, self._first, self._possibly_written = {}, None, False
        return _undelivered(counts, first, possibly_written=possibly_written)


def _undelivered(counts: dict[str, int], first: KafkaError, *, possibly_written: bool) -> UndeliveredError:
    told = ", ".join(f"{topic!r}: {count}" for topic, count in counts.items())
    return UndeliveredError(
        f"{_records(sum(counts.values()))} not delivered, and nobody waited ({told}); first: {first}",
        counts=counts,
        first=first,
        possibly_written=possibly_written,
    )


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"

"""The lines of the log about a broker that is away: one when it goes, one every 30 seconds, one when it is back.

An attempt to connect is made every second or so; a line for each would bury the log of an application. A connection
that breaks soon after it was made counts as the same outage, so that a broker that comes and goes is as quiet.
A broker that refuses who we are is an error from the first time on: it needs somebody to do something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aioproducer._logger import get_logger

if TYPE_CHECKING:
    from aioproducer.errors import KafkaError

logger = get_logger("aioproducer.connection")

SUMMARY_INTERVAL: Final = 30.0
"""Seconds between two warnings about one outage."""

STABLE: Final = 5.0
"""Seconds that a connection has to live for the next failure to be news."""


@dataclass(slots=True)
class OutageLog:
    """The log's memory of one broker.

    Attributes:
        since: when it went; meaningful while failures > 0.
        failures: attempts that failed and connections that broke since then.
        warned_at: when that was last logged.
        is_logged: the last line says that it is away.
        is_refused: a line says that it refuses who we are.
        back_at: when it was last connected to.
    """

    since: float = 0.0
    failures: int = 0
    warned_at: float = 0.0
    is_logged: bool = False
    is_refused: bool = False
    back_at: float | None = None

    def failed(self, node_id: int, address: str, error: KafkaError, now: float) -> None:
        """An attempt failed or the connection broke."""
        fields = self._count(node_id, address, error, now)
        if self.failures == 1:
            logger.warning(
                "a broker is away, it is tried again: %s", error, extra={"event_name": "broker_away"} | fields
            )
        elif now - self.warned_at >= SUMMARY_INTERVAL:
            logger.warning(
                "a broker is still away after %.0f s and %d failures: %s",
                now - self.since,
                self.failures,
                error,
                extra={"event_name": "broker_still_away"} | fields,
            )
        else:
            logger.debug("a broker is still away: %s", error, extra={"event_name": "broker_attempt_failed"} | fields)
            return
        self.warned_at = now
        self.is_logged = True

    def is_stable(self, now: float) -> bool:
        """Whether it has been connected for so long that a loss is not one more failure of the same outage."""
        return self.back_at is not None and now - self.back_at >= STABLE

    def closed_idle(self, node_id: int, address: str, error: KafkaError, now: float) -> None:
        """The broker closed a connection that nothing was asked on, as brokers do when it is idle (its
        connections.max.idle.ms): no failure. If the broker is away indeed, the next attempt to connect says so.
        """
        self.failures = 0
        self.back_at = None
        fields = self._fields(node_id, address, now)
        logger.debug(
            "the broker closed an idle connection: %s", error, extra={"event_name": "broker_closed_idle"} | fields
        )

    def refused(self, node_id: int, address: str, error: KafkaError, now: float) -> None:
        """The broker does not take us for who we say we are, or we do not take it for the broker."""
        fields = self._count(node_id, address, error, now)
        if self.is_refused and now - self.warned_at < SUMMARY_INTERVAL:
            logger.debug("refused again: %s", error, extra={"event_name": "broker_attempt_failed"} | fields)
            return
        logger.error(
            "a broker refuses who we are, it is tried again; check the credentials: %s",
            error,
            extra={"event_name": "authentication_failed"} | fields,
        )
        self.warned_at = now
        self.is_logged = self.is_refused = True

    def connected(self, node_id: int, address: str, now: float) -> None:
        """The connection is usable."""
        self.back_at = now
        fields = self._fields(node_id, address, now)
        if not self.is_logged:
            logger.debug("connected to %s", address, extra={"event_name": "broker_connected"} | fields)
            return
        self.is_logged = False
        logger.info(
            "%s is back after %.0f s and %d failures",
            address,
            now - self.since,
            self.failures,
            extra={"event_name": "broker_back"} | fields,
        )

    def _count(self, node_id: int, address: str, error: KafkaError, now: float) -> dict[str, object]:
        if self.back_at is not None and now - self.back_at >= STABLE:
            self.failures = 0
        self.back_at = None
        if self.failures == 0:
            self.since = now
            self.is_refused = False
        self.failures += 1
        return self._fields(node_id, address, now) | {"reason": type(error).__name__}

    def _fields(self, node_id: int, address: str, now: float) -> dict[str, object]:
        seconds = round(now - self.since, 3) if self.failures else 0.0
        return {"node": node_id, "address": address, "failures": self.failures, "seconds": seconds}

"""How long after the end of a transaction does it pay to wait before the next one begins to write?

A coordinator answers EndTxn before the markers are written. A transaction that begins within those milliseconds loses
more than it gains: with version 2 the broker holds its first Produce until the next of its own attempts to add the
partition (add.partitions.to.txn.retry.backoff.ms, 20 ms), and holds back with it whatever comes behind on that
connection; with version 1 AddPartitionsToTxn is refused with CONCURRENT_TRANSACTIONS. Java's producer runs into it.

How long markers take depends on the cluster, so it is learned: doubled when it was too short, and a little less each
time it was not. On three brokers on loopback, transactions of one record took 23 to 42 ms with pauses of 2 to 5 ms, and
54 to 80 without; what is learned comes to 1.1 to 1.3 times as many transactions, on a machine that is busy.
"""

from __future__ import annotations

import math
from typing import Final

HELD: Final = 0.015
"""An answer that takes so many seconds longer than the fastest has been held."""

FIRST: Final = 0.001
LONGEST: Final = 0.008
"""A pause that does not help at this length is given up, and begun again with nothing."""

_SHRINKS: Final = 0.97
_FASTEST_GROWS: Final = 1.02  # by that the fastest answer is forgotten when the way to the cluster has become longer
_RELEVANT: Final = 0.005


class MarkerPause:
    """The pause of one transactional id.

    Attributes:
        seconds: as learned until now.
        until: when the next transaction may begin to write.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.until = -math.inf
        self._sent_at: float | None = None
        self._fastest = math.inf

    def on_ended(self, now: float) -> None:
        """EndTxn is answered."""
        self.until = now + self.seconds
        self._sent_at = None

    def on_begun(self, now: float) -> None:
        """The first request of a transaction is sent."""
        # One that is sent much later tells nothing: the markers were written anyway.
        self._sent_at = now if now - self.until < _RELEVANT else None

    def on_answered(self, now: float) -> None:
        """The first of its answers came, and was a good one."""
        if self._sent_at is None:
            return
        took, self._sent_at = now - self._sent_at, None
        is_held = took >= self._fastest + HELD
        self._fastest = min(took, self._fastest * _FASTEST_GROWS)
        if is_held:
            self._grow()
        else:
            self.seconds *= _SHRINKS

    def on_refused(self) -> None:
        """The first request was refused, as the transaction before is not over."""
        if self._sent_at is not None:
            self._sent_at = None
            self._grow()

    def _grow(self) -> None:
        longer = max(FIRST, 2 * self.seconds)
        self.seconds = longer if longer <= LONGEST else 0.0

"""The delay after the end of a transaction that it pays to wait before the next one begins to write.

A coordinator answers EndTxn before the markers are written. A transaction that begins within those milliseconds loses
more than it gains: with version 2 the broker holds its first Produce until the next of its own attempts to add the
partition (add.partitions.to.txn.retry.backoff.ms, 20 ms), and holds back with it whatever comes behind on that
connection; with version 1 AddPartitionsToTxn is refused with CONCURRENT_TRANSACTIONS. Java's producer runs into it.

How long markers take depends on the cluster, so it is learned. A pause that was too short costs 20 ms, one that is too
long a fraction of a millisecond, so what was found is left slowly:

1. searching: doubled when it was too short, 3 % less each time it was not, until that is too little again;
2. settled: a quarter more then, and from there a thousandth less each time. Twice too short in a row: searched anew.

Without any pause, transactions of one record took 54 to 80 ms on three brokers on loopback, with 2 to 5 ms of it 23 to
42. Settling on it (before, the search never ended) made those of 100 records on one broker 4.0 ms long instead of 4.8.
"""

from __future__ import annotations

import math
from typing import Final

HELD: Final = 0.015
"""An answer that takes so many seconds longer than the fastest has been held."""

FIRST: Final = 0.001
LONGEST: Final = 0.008
"""A pause that does not help at this length is given up, and begun again with nothing."""

_SEARCHED: Final = 0.97
_SETTLED: Final = 0.999
_SETTLED_GROWS: Final = 1.25
_IN_A_ROW: Final = 10  # transactions within which two that were held belong together
_FORGOTTEN: Final = FIRST / 8  # what is shorter is not near any edge
_FASTEST_GROWS: Final = 1.02  # by that the fastest answer is forgotten when the way to the cluster has become longer
_RELEVANT: Final = 0.005


class MarkerDelay:
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
        self._shrinks = _SEARCHED
        self._quick = 0  # answers in a row that were not held

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
            self.seconds *= self._shrinks
            self._quick += 1

    def on_refused(self) -> None:
        """The first request was refused, as the transaction before is not over."""
        if self._sent_at is not None:
            self._sent_at = None
            self._grow()

    def _grow(self) -> None:
        is_edge = self.seconds >= _FORGOTTEN and self._quick >= _IN_A_ROW
        self._shrinks = _SETTLED if is_edge else _SEARCHED
        longer = max(FIRST, 2 * self.seconds) if not is_edge else _SETTLED_GROWS * self.seconds
        self.seconds = longer if longer <= LONGEST else 0.0
        self._quick = 0

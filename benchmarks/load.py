"""What is sent: values that look like data, keys, headers; made before anything is timed."""

from __future__ import annotations

import random
import uuid
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.order import Order

POOL: Final = 64
"""Different values; they take turns."""

WORDS: Final = (
    "order",
    "customer",
    "pending",
    "shipped",
    "Rotterdam",
    "invoice",
    "EUR",
    "standard",
    "returned",
    "note",
)
FEW: Final = 1000

HEADERS: Final = (("trace-id", b"0123456789abcdef"), ("content-type", b"application/json"), ("attempt", b"1"))


def make_value(rng: random.Random, size: int) -> bytes:
    """Return `size` bytes that compress about as JSON of an application does: words repeat, numbers do not."""
    parts: list[str] = []
    length = 0
    while length < size:
        part = f'{{"id":{rng.getrandbits(40)},"{rng.choice(WORDS)}":"{rng.choice(WORDS)}","sum":{rng.random():.4f}}}'
        parts.append(part)
        length += len(part)
    return "".join(parts).encode()[:size]


class Load:
    """The values of an order, and a key for each record."""

    def __init__(self, order: Order) -> None:
        rng = random.Random(7)
        self._values = [make_value(rng, order.value_bytes) for _ in range(POOL)]
        self._kind = order.keys
        self._few = [b"key-%d" % index for index in range(FEW)]

    def take(self, count: int) -> Iterator[tuple[bytes, bytes | None]]:
        """Return an iterator of `count` pairs of value and key; nothing of it is made later than here."""
        values = cycle(self._values)
        if self._kind == "different":
            return zip(values, [str(uuid.uuid4()).encode() for _ in range(count)])  # noqa: B905 (the values are endless)
        keys: Iterator[bytes | None] = cycle(self._few) if self._kind == "few" else cycle([None])
        return islice(zip(values, keys, strict=False), count)


def topic_names(order: Order) -> list[str]:
    """Return the topics, whose records take turns."""
    return [order.topic, *(f"{order.topic}.{index}" for index in range(1, order.topics))]

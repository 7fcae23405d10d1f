"""Which requests does a seed stand for? A list of steps, the same for every cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Damage: TypeAlias = Literal[
    "none", "crc", "magic", "truncated", "two batches", "count", "base offset", "control", "empty", "late", "keyless"
]
DAMAGES: Final[tuple[Damage, ...]] = (
    "crc",
    "magic",
    "truncated",
    "two batches",
    "count",
    "base offset",
    "control",
    "empty",
    "late",
    "keyless",
)
TOPICS: Final = ("plain", "small", "stamped", "compacted")
"""plain; max.message.bytes=1000; LogAppendTime; cleanup.policy=compact."""

PRODUCERS: Final = 3
"""The last one is transactional."""


@dataclass(frozen=True, slots=True)
class Produce:
    """One batch of a producer (None: without idempotence).

    Attributes:
        sequence: against what comes next: 0 is right, −1 repeats the last batch, 1 leaves a gap.
        epoch: against the producer's: 0 is right.
    """

    topic: str
    partition: int
    producer: int | None
    count: int = 1
    sequence: int = 0
    epoch: int = 0
    damage: Damage = "none"
    size: int = 20
    acks: int = -1
    version: int = 12
    is_transactional: bool = False


@dataclass(frozen=True, slots=True)
class Init:
    """A producer gets its id, or, transactional, another epoch."""

    producer: int


@dataclass(frozen=True, slots=True)
class AddPartition:
    """A partition becomes part of the transaction (before KIP-890)."""

    topic: str
    partition: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """The transaction ends. Version 5 raises the epoch (KIP-890)."""

    is_commit: bool
    version: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Offsets:
    """Where a partition begins and ends, for both kinds of readers."""

    topic: str
    partition: int


Step: TypeAlias = Produce | Init | AddPartition | End | Offsets


def script(rng: Random, length: int, *, transaction_version: int) -> list[Step]:
    """The steps of a seed, initialisation first."""
    steps: list[Step] = [Init(index) for index in range(PRODUCERS)]
    makers: list[Callable[[Random], Step]] = [_valid, _valid, _valid, _repeated, _repeated, _damaged, _astray, _offsets]
    while len(steps) < length:
        kind = rng.randrange(len(makers) + 1)
        if kind < len(makers):
            steps.append(makers[kind](rng))
        else:
            steps += _transaction(rng, transaction_version)
    return steps


def _valid(rng: Random) -> Produce:
    version = rng.choice((3, 7, 8, 9, 11, 12))
    return Produce(rng.choice(TOPICS), rng.randrange(2), rng.choice((None, 0, 1)), rng.randrange(1, 4), version=version)


def _repeated(rng: Random) -> Produce:
    """Duplicated, out of sequence, or of a wrong epoch."""
    sequence, epoch = rng.choice(((-1, 0), (-2, 0), (-4, 0), (-7, 0), (1, 0), (5, 0), (0, -1), (0, 1), (-1, 1)))
    return Produce(rng.choice(TOPICS[:3]), rng.randrange(2), rng.randrange(2), sequence=sequence, epoch=epoch)


def _damaged(rng: Random) -> Produce:
    topic = rng.choice(TOPICS)
    if rng.randrange(4) == 0:
        return Produce("small", 0, None, size=2_000)
    return Produce(topic, rng.randrange(2), None, rng.randrange(1, 3), damage=rng.choice(DAMAGES))


def _astray(rng: Random) -> Produce:
    """To where nothing is, or with acks that do not exist."""
    return rng.choice(
        (
            Produce("unknown", 0, None),
            Produce("plain", 7, 0),
            Produce("plain", 0, None, acks=2),
            Produce("plain", 0, 1, acks=1),
            Produce("plain", 0, None, version=13),
            Produce("unknown", 0, None, version=13),
        )
    )


def _offsets(rng: Random) -> Offsets:
    return Offsets(rng.choice(TOPICS), rng.randrange(2))


def _transaction(rng: Random, transaction_version: int) -> list[Step]:
    """One of the transactional producer, right or wrong in one way."""
    is_new = transaction_version == 2
    produce, end = (12, 5) if is_new else (11, 4)
    partition = rng.randrange(2)
    fault = rng.choice(("none", "none", "none", "not added", "produce epoch", "end epoch", "twice", "empty", "init"))
    steps: list[Step] = []
    if not is_new and fault != "not added":
        steps.append(AddPartition("plain", partition))
    if fault != "empty":
        epoch = -1 if fault == "produce epoch" else 0
        steps.append(Produce("plain", partition, 2, 2, epoch=epoch, version=produce, is_transactional=True))
        steps.append(Offsets("plain", partition))
    if fault == "init":
        return [*steps, Init(2), Offsets("plain", partition)]
    is_commit = rng.random() < 0.5
    if fault == "end epoch":
        steps.append(End(is_commit, end, epoch=-1))
    steps.append(End(is_commit, end))
    if fault == "twice":
        steps.append(End(is_commit, end))
    return [*steps, Init(2), Offsets("plain", partition)]

"""Which requests does a seed stand for? A list of steps, the same for every cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from aioproducer._records.compression import Codec
from tests.differential.catalogue import CASES, WITHIN_V1, WITHIN_V2

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Damage: TypeAlias = Literal[
    "none",
    "crc",
    "magic",
    "old magic",
    "truncated",
    "two batches",
    "batch and a half",
    "count",
    "no records",
    "base offset",
    "control",
    "empty",
    "late",
    "keyless",
    "flag without id",
    "id without sequence",
    "no such codec",
    "garbage",
    "fewer records",
]

WITHIN: Final[tuple[Damage, ...]] = ("garbage", "fewer records")
"""The header is right, and so is the checksum, but what it is about is not there."""

DAMAGES: Final[tuple[Damage, ...]] = tuple(each for each in get_args(Damage) if each not in ("none", *WITHIN))
"""Wrong in its shape, its header or a record that has to be looked at. (Null instead of records is never answered.)"""

TOPICS: Final = ("plain", "small", "stamped", "compacted", "empty", "odd")
"""plain; max.message.bytes=1000; LogAppendTime; cleanup.policy=compact; written to by nobody; by what is WITHIN."""

WRITTEN: Final = TOPICS[:4]
CODECS: Final = tuple(Codec)

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
    codec: Codec = Codec.NONE


@dataclass(frozen=True, slots=True)
class Several:
    """One request with a batch for each of several partitions; acks and version are those of the first."""

    parts: tuple[Produce, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request of the catalogue."""

    case: str
    version: int


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


Step: TypeAlias = Produce | Several | Ask | Init | AddPartition | End | Offsets


def script(rng: Random, length: int, *, transaction_version: int) -> list[Step]:
    """The steps of a seed, initialisation first."""
    steps: list[Step] = [Init(index) for index in range(PRODUCERS)]
    makers: list[Callable[[Random], Step]] = [_valid, _valid, _valid, _repeated, _repeated, _damaged, _astray, _offsets]
    makers += [_several, _ask, _ask, _ask]
    while len(steps) < length:
        kind = rng.randrange(len(makers) + 2)
        if kind < len(makers):
            steps.append(makers[kind](rng))
        else:
            steps += _transaction(rng, transaction_version)
    return steps


def everything() -> list[Step]:
    """Every request of the catalogue in every version, and every damage with every codec, once."""
    steps: list[Step] = [Init(index) for index in range(PRODUCERS)]
    steps += [Produce(topic, 0, None, 3, codec=codec) for topic in WRITTEN for codec in CODECS]
    steps += [
        Produce(topic, 1, None, 2, damage=damage, codec=codec)
        for damage in DAMAGES
        for codec in CODECS
        for topic in ("plain", "compacted")
    ]
    steps += [Produce("plain", 1, None, 2, damage=damage, acks=acks) for damage in DAMAGES for acks in (0, 1)]
    steps += [Produce("odd", 0, None, 2, damage=damage, codec=codec) for damage in WITHIN for codec in CODECS]
    for name, case in CASES.items():
        for version in range(case.since, case.until + 1):
            steps += [Ask(name, version), Init(PRODUCERS - 1)] if case.may_change else [Ask(name, version)]
    within = ("AddOffsetsToTxn", 3), ("TxnOffsetCommit of a group that was not added", 3), ("DescribeTransactions", 0)
    return [*steps, *(Ask(name, version) for name, version in within), Init(PRODUCERS - 1)]


def _valid(rng: Random) -> Produce:
    version = rng.choice((3, 6, 7, 8, 9, 11, 12))
    codec = rng.choice((Codec.NONE, *CODECS))
    acks = rng.choice((-1, -1, -1, 1, 0))
    producer = rng.choice((None, 0, 1))
    return Produce(
        rng.choice(WRITTEN), rng.randrange(2), producer, rng.randrange(1, 4), version=version, codec=codec, acks=acks
    )


def _repeated(rng: Random) -> Produce:
    """Duplicated, out of sequence, or of a wrong epoch."""
    sequence, epoch = rng.choice(((-1, 0), (-2, 0), (-4, 0), (-7, 0), (1, 0), (5, 0), (0, -1), (0, 1), (-1, 1)))
    acks = rng.choice((-1, -1, 1, 0))
    return Produce(
        rng.choice(TOPICS[:3]), rng.randrange(2), rng.randrange(2), sequence=sequence, epoch=epoch, acks=acks
    )


def _damaged(rng: Random) -> Produce:
    topic = rng.choice(WRITTEN)
    if rng.randrange(4) == 0:
        return Produce("small", 0, None, size=2_000)
    acks = rng.choice((-1, -1, 1, 0))
    codec, damage = rng.choice(CODECS), rng.choice(DAMAGES)
    return Produce(topic, rng.randrange(2), None, rng.randrange(1, 3), damage=damage, codec=codec, acks=acks)


def _several(rng: Random) -> Several:
    """A request of which some is right and some is wrong."""
    parts = [
        Produce("plain", 0, None),
        Produce("plain", 1, 0),
        Produce("small", 1, None, damage="crc"),
        Produce("stamped", 0, None, damage="two batches"),
        Produce("compacted", 0, None, damage="keyless"),
        Produce("unknown", 0, None),
        Produce("plain", 7, None),
        Produce("stamped", 1, 1, sequence=3),
    ]
    return Several(tuple(rng.sample(parts, rng.randrange(2, 5))))


def _ask(rng: Random) -> Ask:
    name = rng.choice([name for name, case in CASES.items() if not case.may_change])
    return Ask(name, rng.randint(CASES[name].since, CASES[name].until))


def _ask_within(rng: Random, transaction_version: int) -> list[Step]:
    """What is asked while a transaction is open, sometimes."""
    if rng.random() < 0.4:
        return []
    cases = WITHIN_V2 if transaction_version == 2 else WITHIN_V1
    chosen = rng.choices(list(cases), k=rng.randrange(1, 3))
    found: list[Step] = [Ask(name, rng.randint(cases[name].since, cases[name].until)) for name in chosen]
    return [*found, _ask(rng)]


def _astray(rng: Random) -> Produce:
    """To where nothing is, or with acks that do not exist."""
    return rng.choice(
        (
            Produce("unknown", 0, None),
            Produce("unknown", 0, None, acks=0),
            Produce("plain", 7, 0),
            Produce("plain", 7, 0, acks=0),
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
        codec = rng.choice(CODECS)
        steps.append(
            Produce("plain", partition, 2, 2, epoch=epoch, version=produce, is_transactional=True, codec=codec)
        )
        steps.append(Offsets("plain", partition))
        steps += _ask_within(rng, transaction_version)
    if fault == "init":
        return [*steps, Init(2), Offsets("plain", partition)]
    is_commit = rng.random() < 0.5
    if fault == "end epoch":
        steps.append(End(is_commit, end, epoch=-1))
    steps.append(End(is_commit, end))
    if fault == "twice":
        steps.append(End(is_commit, end))
    return [*steps, Init(2), Offsets("plain", partition), Ask("OffsetFetch", rng.randint(1, 9))]

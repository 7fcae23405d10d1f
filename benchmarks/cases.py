"""What is measured: named cases, each the base with one thing changed.

The base: 100-byte values without a key to 6 partitions of one topic, acks=all, idempotence, linger 5 ms, batches of 16
KiB, no codec, submitted by one task that looks at every outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from benchmarks.order import Keys, Order, Workload

if TYPE_CHECKING:
    from benchmarks.brokers import BrokerKind

OURS: Final = ("aioproducer", "aioproducer-uvloop", "aioproducer-trio")
OTHERS: Final = ("aiokafka", "confluent-kafka", "confluent-aio", "kafka-python")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure; the attributes are those of an Order.

    Attributes:
        is_on_all_loops: aioproducer runs on uvloop and trio too, not on asyncio alone.
        floor: the client that is compared with besides, or "".
        is_on_sink: by default it is run against the sink too.
        is_quick: it is among those of bench-quick.
    """

    name: str
    text: str
    workload: Workload = "pipelined"
    tasks: int = 1000
    value_bytes: int = 100
    keys: Keys = "none"
    headers: int = 0
    partitions: int = 6
    linger_ms: int = 5
    codec: str = "none"
    level: int = 0
    is_on_all_loops: bool = False
    floor: str = ""
    is_on_sink: bool = False
    is_quick: bool = False

    @property
    def topic(self) -> str:
        """The topic that it is sent to; the sink reads the number of partitions from its end."""
        return f"{self.name}-p{self.partitions}"

    def clients(self) -> tuple[str, ...]:
        """Return those that are compared."""
        ours = OURS if self.is_on_all_loops else OURS[:1]
        return (*ours, *OTHERS, *((self.floor,) if self.floor else ()))

    def order(self, client: str, bootstrap: str, seconds: float) -> Order:
        """Return what one process has to do."""
        return Order(
            client,
            self.workload,
            bootstrap,
            self.topic,
            seconds=seconds,
            partitions=self.partitions,
            tasks=self.tasks,
            value_bytes=self.value_bytes,
            keys=self.keys,
            headers=self.headers,
            linger_ms=self.linger_ms,
            codec=self.codec,
            level=self.level,
        )


CASES: Final = (
    Case(
        "pipelined",
        "one task submits, every outcome looked at",
        is_on_all_loops=True,
        is_on_sink=True,
        is_quick=True,
    ),
    Case("value-10b", "10-byte values", value_bytes=10),
    Case("value-1kb", "1 KB values", value_bytes=1000),
    Case("value-10kb", "10 KB values", value_bytes=10_000),
    Case("value-100kb", "100 KB values", value_bytes=100_000),
    Case("keys-few", "a thousand keys", keys="few"),
    Case("keys-different", "36-byte keys, all different", keys="different"),
    Case("headers", "three headers", headers=3),
    Case("gzip", "1 KB, gzip 9", value_bytes=1000, codec="gzip", level=9),
    Case("snappy", "1 KB, snappy", value_bytes=1000, codec="snappy"),
    Case("lz4", "1 KB, lz4 1", value_bytes=1000, codec="lz4", level=1),
    Case("zstd", "1 KB, zstd 3", value_bytes=1000, codec="zstd", level=3, is_quick=True),
    Case("zstd-100kb", "100 KB, zstd 3", value_bytes=100_000, codec="zstd", level=3),
    Case("partitions-1", "1 partition", partitions=1),
    Case("partitions-100", "100 partitions", partitions=100),
    Case("partitions-1000", "1,000 partitions", partitions=1000),
    Case("tasks-10", "10 tasks at a time, one for each record", workload="tasks", tasks=10),
    Case("tasks-100", "100 tasks at a time, one for each record", workload="tasks", tasks=100),
    Case(
        "tasks-1000",
        "1,000 tasks at a time, one for each record",
        workload="tasks",
        is_on_all_loops=True,
        floor="bare-tasks",
        is_on_sink=True,
        is_quick=True,
    ),
    Case(
        "tasks-10000", "10,000 tasks at a time, one for each record", workload="tasks", tasks=10_000, floor="bare-tasks"
    ),
    Case("workers-1000", "1,000 tasks that send in a loop", workload="workers", floor="bare-tasks"),
    Case(
        "one-linger-0",
        "one at a time, linger 0",
        workload="one",
        linger_ms=0,
        is_on_all_loops=True,
        floor="bare-socket",
        is_on_sink=True,
        is_quick=True,
    ),
    Case("one-linger-5", "one at a time, linger 5 ms", workload="one", linger_ms=5),
    Case("forget", "nobody looks, then flush", workload="forget", is_on_all_loops=True, is_on_sink=True, is_quick=True),
    Case("send-all", "all of an iterable", workload="send_all", is_on_all_loops=True, is_on_sink=True),
)


def chosen(patterns: list[str]) -> list[Case]:
    """Return the cases that are named; names may have * and ?.

    Raises:
        ValueError: a pattern names none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in CASES):
            raise ValueError(f"{pattern} names no case; there are {', '.join(case.name for case in CASES)}")
    return [case for case in CASES if any(fnmatchcase(case.name, pattern) for pattern in patterns)]


def brokers_of(case: Case, kinds: list[BrokerKind] | None) -> list[BrokerKind]:
    """Return what a case is run against: what was asked for, or Kafka, and the sink where that is its habit."""
    return kinds or (["kafka", "sink"] if case.is_on_sink else ["kafka"])

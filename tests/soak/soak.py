"""Very many sends through failures, in rounds; after each the process is measured at rest."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

import anyio

from aioproducer import Producer
from aioproducer._wire.api_keys import ApiKey
from aioproducer.errors import ErrorCode, UndeliveredError
from aioproducer.testing import EmbeddedCluster
from tests.chaos.load import Load
from tests.contract.support import open_descriptors, producer_tasks, resident_bytes
from tests.soak.running import Auditor, RunningLedger

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC: Final = "orders"
PARTITIONS: Final = 6
BROKERS: Final = 3
AUDIT_SECONDS: Final = 0.02

SETTINGS: Final[dict[str, Any]] = {
    "linger_ms": 2,
    "request_timeout_ms": 500,
    "socket_connection_setup_timeout_ms": 500,
    "socket_connection_setup_timeout_max_ms": 500,
    "delivery_timeout_ms": 30_000,
    "buffer_memory": 2_000_000,
    "retry_backoff_ms": 5,
    "retry_backoff_max_ms": 50,
    "reconnect_backoff_ms": 5,
    "reconnect_backoff_max_ms": 50,
}

RETRIED: Final = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.KAFKA_STORAGE_ERROR,
)
REFUSED: Final = (ErrorCode.INVALID_RECORD, ErrorCode.TOPIC_AUTHORIZATION_FAILED)


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at rest, after a round.

    Attributes:
        records: sent so far.
        resident_bytes: memory in RAM.
        objects: that the garbage collector knows.
        descriptors: open files and sockets.
        tasks: of the producer.
        faults: set so far.
    """

    records: int
    seconds: float
    resident_bytes: int
    objects: int
    descriptors: int
    tasks: int
    faults: int

    def line(self) -> str:
        """For people."""
        return (
            f"{self.records:9,} records  {self.seconds:6.1f} s  {self.resident_bytes / 2**20:6.1f} MiB"
            f"  {self.objects:8,} objects  {self.descriptors:3} descriptors  {self.faults:5} faults"
        )


class Soak:
    """Runs the rounds.

    Args:
        tell: called with a line for each round.
    """

    def __init__(self, seed: int, tell: Callable[[str], object] = lambda _: None) -> None:
        self.ledger = RunningLedger()
        self.samples: list[Sample] = []
        self._seed = seed
        self._rng = Random(seed)
        self._tell = tell
        self._fault_count = 0

    async def run(self, records: int, rounds: int = 10) -> None:
        """Send so many records."""
        started = anyio.current_time()
        async with EmbeddedCluster(brokers=BROKERS, partitions=PARTITIONS) as cluster:
            await cluster.create_topic(TOPIC)
            auditor = Auditor(cluster, TOPIC, self.ledger)
            async with Producer(bootstrap_servers=cluster.bootstrap_servers, **SETTINGS) as producer:
                for number in range(rounds):
                    await self._round(cluster, producer, auditor, records * (number + 1) // rounds)
                    self.samples.append(await self._sample(producer, started))
                    self._tell(self.samples[-1].line())
            auditor.audit()
        self.ledger.end()

    async def _round(
        self, cluster: EmbeddedCluster, producer: Producer[bytes, bytes], auditor: Auditor, limit: int
    ) -> None:
        load = Load(
            producer, TOPIC, PARTITIONS, self.ledger, seed=limit, tasks=40, burst=100, pause=0.02, size=100, limit=limit
        )
        async with anyio.create_task_group() as others:
            others.start_soon(self._strike, cluster)
            others.start_soon(self._audit, auditor)
            async with anyio.create_task_group() as tasks:
                load.start(tasks)
            others.cancel_scope.cancel()
        cluster.clear_faults()
        for broker in range(BROKERS):
            await cluster.start_broker(broker)
        await load.probe()
        auditor.audit()
        self.ledger.forget_streams()

    async def _sample(self, producer: Producer[bytes, bytes], started: float) -> Sample:
        try:
            await producer.flush()
        except UndeliveredError:
            pass  # some failed before their task looked at them; the ledger knows
        for _ in range(3):  # tasks and exceptions of the round are cyclic garbage of each other
            await anyio.sleep(0.01)
            gc.collect()
        return Sample(
            len(self.ledger),
            anyio.current_time() - started,
            resident_bytes(),
            len(gc.get_objects()),
            open_descriptors(),
            len(producer_tasks()),
            self._fault_count,
        )

    async def _audit(self, auditor: Auditor) -> None:
        while True:
            auditor.audit()
            await anyio.sleep(AUDIT_SECONDS)

    async def _strike(self, cluster: EmbeddedCluster) -> None:
        rng = self._rng
        faults = (self._refuse, self._lose, self._slow, self._break, self._move, self._silence, self._stop)
        while True:
            await anyio.sleep(rng.uniform(0.01, 0.1))
            self._fault_count += 1
            await rng.choice(faults)(cluster)

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _refuse(self, cluster: EmbeddedCluster) -> None:
        if self._rng.random() < 0.8:
            cluster.fail_next(self._rng.choice(RETRIED), times=self._rng.randint(1, 3))
        else:
            cluster.fail_next(self._rng.choice(REFUSED))

    async def _lose(self, cluster: EmbeddedCluster) -> None:
        verb = self._rng.choice((cluster.lose_response_once, cluster.lose_request_once))
        verb(api=self._rng.choice((ApiKey.PRODUCE, ApiKey.PRODUCE, ApiKey.METADATA)))

    async def _slow(self, cluster: EmbeddedCluster) -> None:
        cluster.delay(self._rng.uniform(0.001, 0.05), times=5)

    async def _break(self, cluster: EmbeddedCluster) -> None:
        if self._rng.random() < 0.5:
            cluster.drop_connections(broker=self._rng.randrange(BROKERS))
        else:
            cluster.cut_after(self._rng.randrange(500))

    async def _move(self, cluster: EmbeddedCluster) -> None:
        cluster.move_leader(TOPIC, self._rng.randrange(PARTITIONS))

    async def _silence(self, cluster: EmbeddedCluster) -> None:
        with cluster.black_hole(broker=self._rng.randrange(BROKERS)):
            await anyio.sleep(self._rng.choice((0.05, 0.05, 0.6)))

    async def _stop(self, cluster: EmbeddedCluster) -> None:
        broker = self._rng.randrange(BROKERS)
        await cluster.stop_broker(broker)
        await anyio.sleep(self._rng.uniform(0.01, 0.2))
        await cluster.start_broker(broker)


def growth(samples: list[Sample]) -> str:
    """What grew from the first third of the rounds to the last; "" when memory is flat."""
    third = max(1, len(samples) // 3)
    early, late = samples[:third], samples[-third:]
    grown: list[str] = []
    memory = min(each.resident_bytes for each in late) - max(each.resident_bytes for each in early)
    if memory > 4 * 2**20:
        grown.append(f"memory grew by {memory / 2**20:.1f} MiB")
    objects = min(each.objects for each in late) - max(each.objects for each in early)
    if objects > 1_000:
        grown.append(f"there are {objects:,} objects more")
    if min(each.descriptors for each in late) > max(each.descriptors for each in early) + BROKERS:
        grown.append("descriptors stay open")
    if min(each.tasks for each in late) > max(each.tasks for each in early) + 3 * BROKERS:
        grown.append("tasks stay alive")
    return ", ".join(grown)

"""Faults one after the other, while records flow; then the reckoning."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from aioproducer import Producer
from tests.chaos.faults import FAULTS, REQUEST_TIMEOUT_SECONDS
from tests.chaos.ledger import Ledger, Verdict
from tests.chaos.load import Load
from tests.chaos.scene import Scene, read_numbers
from tests.contract.support import Cluster, new_topic_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aioproducer.testing import RealCluster

PARTITIONS: Final = 6
RECOVERY_SECONDS: Final = 30.0
"""After the end of a fault everything flows again within this time; the cluster needs most of it for itself."""

SETTINGS: Final[dict[str, Any]] = {
    "linger_ms": 5,
    "request_timeout_ms": int(REQUEST_TIMEOUT_SECONDS * 1000),
    "socket_connection_setup_timeout_ms": int(REQUEST_TIMEOUT_SECONDS * 1000),
    "socket_connection_setup_timeout_max_ms": int(REQUEST_TIMEOUT_SECONDS * 1000),
    "delivery_timeout_ms": 120_000,
    "max_block_ms": 120_000,
}
"""Kafka's defaults, but a silent broker is given up after 3 s: the defaults are 30 s, and 10 s for a new connection."""


@dataclass(slots=True)
class Strike:
    """One fault and what it did.

    Attributes:
        first: the number of the first record that was called since it began.
        seconds: from its beginning until the cluster was whole again.
        longest_stall: the longest that a record waited for its acknowledgement, in seconds.
        recovery: seconds from the end of the fault until every partition had taken a record, and all those had their
            outcome that were called before.
    """

    fault: str
    first: int
    seconds: float = 0.0
    longest_stall: float = 0.0
    recovery: float = 0.0


@dataclass(slots=True)
class Report:
    """What came of it all."""

    seed: int
    strikes: list[Strike]
    verdict: Verdict
    calls: int
    told_twice: list[int]
    errors: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def is_kept(self) -> bool:
        """Whether every promise was."""
        return not self.verdict.complaints() and not self.told_twice

    def table(self) -> str:
        """One line for each kind of fault, and the totals."""
        header = ("fault", "times", "records", "lost", "twice", "disorder", "failed", "longest stall", "recovered in")
        rows = [header, *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        lines = [
            "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in each)
            for each in (enumerate(zip(row, widths, strict=True)) for row in rows)
        ]
        lines.insert(1, "  ".join("─" * width for width in widths))
        return "\n".join(lines)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        verdict = self.verdict
        kinds = [verdict.lost, verdict.twice, verdict.out_of_order, verdict.failed]
        found = [self._by_fault(numbers) for numbers in kinds]
        records = self._by_fault(range(self.calls))
        by_fault: defaultdict[str, list[Strike]] = defaultdict(list)
        for strike in self.strikes:
            by_fault[strike.fault].append(strike)
        for fault, strikes in by_fault.items():
            yield (
                fault,
                f"{len(strikes)}",
                f"{records[fault]:,}",
                *(f"{each[fault]}" for each in found),
                f"{max(strike.longest_stall for strike in strikes):.1f} s",
                f"{max(strike.recovery for strike in strikes):.1f} s",
            )
        yield (
            "total",
            f"{len(self.strikes)}",
            f"{self.calls:,}",
            *(f"{len(numbers)}" for numbers in kinds),
            f"{max(strike.longest_stall for strike in self.strikes):.1f} s",
            f"{max(strike.recovery for strike in self.strikes):.1f} s",
        )

    def _by_fault(self, numbers: Sequence[int]) -> defaultdict[str, int]:
        firsts = [strike.first for strike in self.strikes]
        counts: defaultdict[str, int] = defaultdict(int)
        for number in numbers:
            counts[self.strikes[max(0, bisect_right(firsts, number) - 1)].fault] += 1
        return counts


class Campaign:
    """Strikes a cluster of three nodes behind proxies. Everything that is random comes from the seed.

    Args:
        tell: called with a line about each fault.
    """

    def __init__(self, cluster: RealCluster, seed: int, tell: Callable[[str], object] = lambda _: None) -> None:
        self._cluster = cluster
        self._seed = seed
        self._rng = Random(seed)
        self._tell = tell
        self._ledger = Ledger()
        self._strikes: list[Strike] = []

    async def run(self, faults: Sequence[str] = (), *, seconds: float = 0.0) -> Report:
        """Let these faults happen, or so many seconds of faults at random; then compare the log with the ledger.

        Raises:
            TimeoutError: the producer, or the cluster, did not recover in time.
        """
        topic = await Cluster("real", self._cluster).create_topic(
            PARTITIONS, {"min.insync.replicas": "2"}, name=new_topic_name("chaos")
        )
        scene = Scene(self._cluster, topic, self._rng)
        servers = self._cluster.bootstrap_servers
        async with Producer(bootstrap_servers=servers, **SETTINGS) as producer:
            load = Load(producer, topic, PARTITIONS, self._ledger, seed=self._seed)
            async with anyio.create_task_group() as tasks:
                load.start(tasks)
                try:
                    await load.probe()
                    deadline = time.monotonic() + seconds
                    for fault in faults or self._drawn(deadline):
                        await self._strike(scene, load, fault)
                finally:
                    load.stop()
        verdict = await anyio.to_thread.run_sync(lambda: self._ledger.judge(read_numbers(servers, topic, PARTITIONS)))
        return Report(self._seed, self._strikes, verdict, len(self._ledger), self._ledger.told_twice, self._errors())

    def _drawn(self, deadline: float) -> Iterator[str]:
        """Faults in an order without end, each as often as the others."""
        names = list(FAULTS)
        while time.monotonic() < deadline:
            self._rng.shuffle(names)
            for name in names:
                if time.monotonic() < deadline:
                    yield name

    async def _strike(self, scene: Scene, load: Load, fault: str) -> None:
        ledger = self._ledger
        ledger.longest_wait = 0.0
        strike = Strike(fault, len(ledger))
        self._strikes.append(strike)
        started = time.monotonic()
        await FAULTS[fault](scene)
        for node in self._cluster.node_ids:
            self._cluster.proxy(node).heal()
        healed, called = time.monotonic(), len(ledger)
        try:
            with anyio.fail_after(RECOVERY_SECONDS):
                await load.probe()
                while ledger.first_open < called:  # noqa: ASYNC110 - the tasks of the load wait for these
                    await anyio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(
                f"{RECOVERY_SECONDS:g} s after {fault!r} not every partition takes records, or an outcome is missing"
                f" (seed {self._seed}, fault number {len(self._strikes)}): {load.producer.status()}"
            ) from None
        strike.recovery = time.monotonic() - healed
        await scene.wait_healthy()
        strike.seconds = time.monotonic() - started
        strike.longest_stall = ledger.longest_wait
        self._tell(
            f"{fault:24} {strike.seconds:5.1f} s  {len(ledger) - strike.first:7,} records, "
            f"longest stall {strike.longest_stall:5.1f} s, recovered in {strike.recovery:4.1f} s"
        )

    def _errors(self) -> dict[str, int]:
        counts: defaultdict[str, int] = defaultdict(int)
        for error in self._ledger.failures.values():
            counts[f"{type(error).__name__}: {error}"] += 1
        return dict(counts)

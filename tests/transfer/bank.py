"""Transfers on a real Kafka whose brokers crash, made by a process that crashes, while an auditor reads."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from anyio.streams.text import TextReceiveStream

from aioproducer.testing._log_reader import read_topic
from tests.kafka.transactions import create_topic_on, wait_healthy
from tests.transfer.auditor import Auditor
from tests.transfer.transfers import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from anyio.abc import Process

    from aioproducer.testing import RealCluster

log = logging.getLogger(__name__)

ROOT: Final = Path(__file__).parents[2]
STALL_SECONDS: Final = 120.0
"""Without a committed transfer for so long, it is taken to hang."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many transfers, and crashes of the producing process and of brokers at random points of them."""

    seed: int
    transfers: int
    process_crashes: int
    broker_crashes: int


@dataclass(slots=True)
class Report:
    """What came of it."""

    plan: Plan
    seconds: float = 0.0
    process_crashes: int = 0
    broker_crashes: int = 0
    reads: int = 0
    aborted_records: int = 0
    repeated: int = 0
    longest_stall: float = 0.0

    def __str__(self) -> str:
        plan = self.plan
        return (
            f"{plan.transfers:,} transfers in {self.seconds:.0f} s ({plan.transfers / self.seconds:.0f} a second),"
            f" {self.process_crashes} crashes of the process, {self.broker_crashes} of brokers; longest stall"
            f" {self.longest_stall:.1f} s; {self.aborted_records} records of aborted transactions, {self.repeated}"
            f" transfers repeated after an error; {self.reads} reads, each with the same sum (seed {plan.seed})"
        )


class Bank:
    """One run. Everything that is random comes from the seed, but for what time does."""

    def __init__(self, cluster: RealCluster, plan: Plan) -> None:
        self._cluster = cluster
        self._plan = plan
        self._rng = Random(plan.seed)
        self._topic = ""
        self._orders = ""
        self._id = f"teller-{uuid.uuid4().hex[:8]}"
        self._made = 0
        self._made_at = 0.0
        self._progress = anyio.Event()
        self.report = Report(plan)

    async def run(self) -> Report:
        """Make all transfers.

        Raises:
            AuditError: a transfer is there half, twice, or not at all.
            TimeoutError: it does not go on.
        """
        servers, nodes = self._cluster.bootstrap_servers, self._cluster.node_ids
        self._orders = await create_topic_on(servers, [nodes])
        self._topic = await create_topic_on(
            servers, [nodes[index % 3 :] + nodes[: index % 3] for index in range(PARTITIONS)]
        )
        auditor = Auditor(servers, self._topic, self._plan.seed)
        started = self._made_at = time.monotonic()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._audit, auditor)
                tasks.start_soon(self._crash_brokers)
                await self._make_all()
                tasks.cancel_scope.cancel()
            self.report.seconds = time.monotonic() - started
            await self._close_books(auditor)
        finally:
            auditor.close()
        return self.report

    # ── the producing process ─────────────────────────────────────────────────────────────────────────────────────────

    async def _make_all(self) -> None:
        crashes = iter(self._points(self._plan.process_crashes))
        while self._made < self._plan.transfers:
            async with self._teller() as teller, anyio.create_task_group() as tasks:
                tasks.start_soon(self._crash_process, teller, next(crashes, None))
                await self._follow(teller)
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _teller(self) -> AsyncGenerator[Process, None]:
        arguments = [self._cluster.bootstrap_servers, self._id, self._orders, self._topic]
        command = [sys.executable, "-m", "tests.transfer.teller", *arguments]
        command += [f"{self._plan.seed}", f"{self._plan.transfers}"]
        process = await anyio.open_process(command, cwd=ROOT, stderr=subprocess.PIPE)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            with anyio.CancelScope(shield=True):
                await process.aclose()

    async def _follow(self, teller: Process) -> None:
        """Read what it tells until it ends; that may be a crash."""
        assert teller.stdout is not None
        assert teller.stderr is not None
        told = ""
        async for text in TextReceiveStream(teller.stdout):
            *lines, told = (told + text).split("\n")
            for line in lines:
                self._note(*line.split(" ", 2))
        status = await teller.wait()
        if status not in {0, -signal.SIGKILL}:
            words = "".join([text async for text in TextReceiveStream(teller.stderr)])
            raise RuntimeError(f"the producing process has ended with {status}: {words[-3000:]}")

    def _note(self, kind: str, number: str, error: str = "") -> None:
        now = time.monotonic()
        if kind == "again":
            self.report.repeated += 1
            log.info("transfer %s is made again: %s", number, error)
            return
        if kind == "from":
            log.info("a process begins at transfer %s", number)
        made = int(number) + (kind == "done")
        if made < self._made:
            raise RuntimeError(f"transfer {self._made - 1} was committed, and the group's offset is {made}")
        self.report.longest_stall = max(self.report.longest_stall, now - self._made_at)
        self._made, self._made_at = made, now
        self._progress.set()
        self._progress = anyio.Event()

    async def _crash_process(self, teller: Process, point: int | None) -> None:
        if point is None:
            await self._reach(self._plan.transfers + 1)
        await self._reach(point or 0)
        await anyio.sleep(self._rng.uniform(0, 0.05))  # anywhere within a transaction
        self.report.process_crashes += 1
        teller.kill()

    # ── the brokers ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _crash_brokers(self) -> None:
        for point in self._points(self._plan.broker_crashes):
            await self._reach(point)
            node = self._rng.choice(self._cluster.node_ids)
            self.report.broker_crashes += 1
            log.info("node %d crashes at transfer %d", node, self._made)
            with anyio.CancelScope(shield=True):  # else a node stays down when all transfers are made meanwhile
                await anyio.to_thread.run_sync(self._cluster.kill, node)
                await anyio.sleep(self._rng.uniform(0, 4))
                await anyio.to_thread.run_sync(self._cluster.restart, node)
                # With two of three replicas away nothing can be acknowledged, which is no fault to look for here.
                await wait_healthy(
                    self._cluster.bootstrap_servers, self._topic, "__transaction_state", "__consumer_offsets"
                )

    def _points(self, count: int) -> Iterator[int]:
        # None so late that all would be made before it has happened.
        yield from sorted(self._rng.sample(range(self._plan.transfers * 9 // 10), count))

    async def _reach(self, number: int) -> None:
        while self._made < number:
            await self._progress.wait()

    # ── the auditor ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _audit(self, auditor: Auditor) -> None:
        while True:
            await anyio.to_thread.run_sync(auditor.audit)
            if time.monotonic() - self._made_at > STALL_SECONDS:
                raise TimeoutError(f"no transfer in {STALL_SECONDS:g} s after number {self._made} of {self._plan}")
            await anyio.sleep(0.2)

    async def _close_books(self, auditor: Auditor) -> None:
        """Everything is made: it must all be there, and no transaction be left open."""
        with anyio.fail_after(STALL_SECONDS):
            while auditor.books.whole < self._plan.transfers:
                await anyio.to_thread.run_sync(auditor.audit)
        everything = await read_topic(self._cluster.bootstrap_servers, self._topic)
        self.report.aborted_records = len(everything) - 2 * self._plan.transfers
        self.report.reads = auditor.books.reads

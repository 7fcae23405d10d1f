"""A history of a whole producer with a transactional id: one task has transactions, the others send into them.

Sometimes another producer with the same id comes: the first one is fenced then, and says so for ever.
"""

from __future__ import annotations

import random
from typing import Any, Final

import anyio

from aioproducer import KafkaError, Producer
from aioproducer._wire.messages import ApiKey
from aioproducer.errors import (
    CommitOutcomeUnknownError,
    ErrorCode,
    KafkaTimeoutError,
    ProducerFencedError,
    TransactionAbortedError,
)
from aioproducer.testing._broker.faults import Effect, Fault
from aioproducer.testing._broker.state import Options
from tests.simulation_producer.ledger import Ledger
from tests.simulation_producer.story import Story
from tests.simulation_producer.works import Told, Work, Works

APIS: Final = (
    ApiKey.END_TXN,
    ApiKey.END_TXN,
    ApiKey.TXN_OFFSET_COMMIT,
    ApiKey.ADD_PARTITIONS_TO_TXN,
    ApiKey.ADD_OFFSETS_TO_TXN,
    ApiKey.INIT_PRODUCER_ID,
    ApiKey.FIND_COORDINATOR,
)
CODES: Final = (
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.NOT_COORDINATOR,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.CONCURRENT_TRANSACTIONS,
)
ID: Final = "t"


class OfTheBody(Exception):
    """What a block is left by."""


class TransactionalStory(Story):
    """Plays one seed with transactions."""

    refused_means_closed = False
    has_others = True

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.works = Works(ID, self.ledger, "a")
        self.rival_ledger = Ledger()
        self.rival_works = Works(ID, self.rival_ledger, "a")
        self.has_rival = False
        self.is_closed_early = False
        # Of its own, so that the other histories stay what they are.
        self._closing = random.Random(f"closed in a commit {seed}")
        self.cluster.core.state.create_topic("r")

    def options_for(self, rng: random.Random, topic_config: dict[str, str]) -> Options:
        return Options(
            partitions=rng.choice((1, 3)),
            replication_factor=2,
            auto_create_topics=False,
            topic_config=topic_config,
            transaction_version=rng.choice((1, 2)),
            marker_delay=rng.choice((0.0, 0.0, 0.5)),
        )

    def settings_for(self, rng: random.Random) -> dict[str, Any]:
        settings = super().settings_for(rng)
        timeout_ms = rng.choice((1_000, 60_000, 60_000))
        return settings | {
            "enable_idempotence": True,
            "acks": "all",
            "transactional_id": ID,
            "transaction_timeout_ms": timeout_ms,
        }

    # ── the task that has transactions ───────────────────────────────────────────────────────────────────────────────

    async def more_callers(self, callers: anyio.abc.TaskGroup) -> None:
        callers.start_soon(self._transactions)
        if self.rng.random() < 0.2:
            callers.start_soon(self._rival)
        if self._closing.random() < 0.2:
            callers.start_soon(self._close_in_a_commit)

    async def _close_in_a_commit(self) -> None:
        """As at SIGTERM: somebody closes, with no time left, while a commit is on its way, whose answer is lost."""
        for _ in range(1_000):
            if self.works.committing:
                break
            await anyio.sleep(0.01)
        self.cluster.core.faults.add(Fault(Effect.LOSE_RESPONSE, api=int(ApiKey.END_TXN), remaining=3))
        await anyio.sleep(self._closing.uniform(0.0, 1.0))
        self.is_closed_early = True
        await self.producer.close(0)

    async def _transactions(self) -> None:
        for _ in range(self.rng.randint(3, 10)):
            try:
                await self.rng.choice((self._by_block, self._by_calls))()
            except (KafkaError, OfTheBody):
                await anyio.sleep(0.5)
            if self.rng.random() < 0.3:
                await anyio.sleep(self.rng.choice((0.01, 0.5)))

    async def _by_block(self) -> None:
        work: Work | None = None
        with anyio.move_on_after(self._patience()) as scope:
            try:
                async with self.producer.transaction() as transaction:
                    work = self.works.note(transaction)
                    await self._fill(work)
                    if self.rng.random() < 0.2:
                        raise OfTheBody
                work.told = Told.COMMITTED
            except TransactionAbortedError:
                self._expect(work is not None, "a block that was not entered tells that it is aborted")
            except OfTheBody:
                pass
        if work is not None and work.told is Told.NOTHING:
            was_left = scope.cancelled_caught or "ABORTED" in repr(work.transaction)
            self._expect(was_left or "not over" in repr(work.transaction), f"{work.transaction} was left by a failure")
            await self.works.end(work, is_commit="COMMITTED" in repr(work.transaction))

    async def _by_calls(self) -> None:
        work = await self.works.begin(self.producer)
        try:
            with anyio.move_on_after(self._patience()):
                await self._fill(work)
        except ProducerFencedError:
            raise
        except KafkaError:
            pass  # which its end will tell
        is_commit = self.rng.random() < 0.7
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            with anyio.move_on_after(self._patience()):
                await self._try_to_end(work, is_commit=is_commit)
        await self.works.end(work, is_commit=is_commit)

    async def _try_to_end(self, work: Work, *, is_commit: bool) -> None:
        try:
            await (self.works.commit(work) if is_commit else self.works.abort(work))
        except (CommitOutcomeUnknownError, KafkaTimeoutError, TransactionAbortedError):
            pass

    async def _fill(self, work: Work) -> None:
        rng = self.rng
        for _ in range(rng.choice((0, 1, 3))):
            topic, size, more = self._what()
            await (self.ledger.send if rng.random() < 0.3 else self.ledger.submit)(self.producer, topic, size, **more)
        if rng.random() < 0.5:
            await self.works.send_offsets(work)
        await anyio.sleep(rng.choice((0.0, 0.05, 0.5)))

    def _patience(self) -> float | None:
        return self.rng.choice((0.0, 0.01, 0.2, 2.0)) if self.rng.random() < 0.3 else None

    # ── another producer ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _rival(self) -> None:
        await anyio.sleep(self.rng.uniform(0.0, 4.0))
        settings: dict[str, Any] = {**self.settings, "max_block_ms": 20_000, "transaction_timeout_ms": 60_000}
        rival = Producer[bytes, bytes](
            bootstrap_servers=self.cluster.bootstrap_servers, connect=self.cluster.connect, **settings
        )
        try:
            async with rival:
                work = await self.rival_works.begin(rival)
                await self.rival_ledger.submit(rival, "r")
                await self.rival_works.end(work, is_commit=True)
                self.has_rival = work.told is Told.COMMITTED
        except KafkaError as error:
            is_fenced = isinstance(error, ProducerFencedError)
            self._expect(self.is_restarted or not is_fenced, f"who came last was fenced: {error!r}")

    async def before_close(self) -> None:
        """With all well again, the next transaction works, or says for ever that it cannot."""
        if self.is_closed_early:
            return
        fatal: KafkaError | None = None
        for _ in range(4):
            try:
                with anyio.fail_after(300):
                    work = await self.works.begin(self.producer)
                    await self.ledger.send(self.producer, "a")
                    await self.works.commit(work)
            except KafkaError as error:
                if error.fatal:
                    self._expect(fatal is None or type(fatal) is type(error), f"first {fatal!r}, then {error!r}")
                    fatal = error
                elif fatal is not None:
                    self._expect(False, f"after {fatal!r} it says {error!r}")
                for left in self.works.all[-1:]:
                    await self._abandon(left)
            else:
                self._expect(fatal is None, f"after {fatal!r} a transaction is committed")
                self._expect(not self.has_rival, "a transaction is committed, though another producer has come")
        if self.has_rival:
            self._expect(isinstance(fatal, ProducerFencedError), f"another producer has come; told: {fatal!r}")

    async def _abandon(self, work: Work) -> None:
        try:
            await self.works.end(work, is_commit=False)
        except KafkaError:
            pass

    # ── misfortunes, verdict ─────────────────────────────────────────────────────────────────────────────────────────

    async def _fault(self) -> None:
        rng = self.rng
        if rng.random() < 0.4:
            await super()._fault()
            return
        effect = rng.choice((Effect.LOSE_RESPONSE, Effect.CLOSE, Effect.DELAY, Effect.FAIL))
        amount, code = rng.choice((0.5, 3.0)), int(rng.choice(CODES))
        fault = Fault(effect, code, amount, api=int(rng.choice(APIS)), remaining=rng.randint(1, 3))
        self.cluster.core.faults.add(fault)

    def _check(self) -> None:
        core = self.cluster.core
        while (deadline := core.state.transactions.deadline()) is not None:
            core.poll(deadline)  # the coordinator ends what was given up
        super()._check()
        self.report.problems += self.works.problems(core.state)
        self.report.problems += self.rival_works.problems(core.state)
        for work in self.works.all:
            self.report.outcomes[f"transaction {work.told.name}"] += 1

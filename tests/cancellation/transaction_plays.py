"""The calls of a transaction, to be cancelled at every point: what goes on in the background is whole or not at all.

After each the program goes on as the call's docstring says, the next transaction works, and a reader of committed data
sees what the calls have told.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import anyio

from aioproducer import IllegalStateError
from aioproducer.testing._broker.state import Options
from tests.cancellation.driver import Play, Stage, settled
from tests.simulation_producer.works import Told, Work, Works

_OPEN: Final = "a transaction is open"
_FLUSHING: Final = "call commit() again, or abort()"
_COMMITTING: Final = "call commit() again to learn the outcome"


class Transactional(Play):
    """With a transaction begun, three records in it on their way."""

    works: Works
    work: Work

    def __init__(self, version: int = 2, marker_delay: float = 0.0) -> None:
        super().__init__(transactional_id="t", linger_ms=0, retry_backoff_ms=2, retry_backoff_max_ms=2)
        self.options = Options(transaction_version=version, marker_delay=marker_delay)

    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        self.works = Works("t", stage.ledger, "orders")
        self.work = await self.works.begin(stage.producer)
        await self.fill(stage)

    async def fill(self, stage: Stage) -> None:
        for _ in range(3):
            await stage.ledger.submit(stage.producer, "orders")

    async def refusal_of_another(self, stage: Stage) -> str:
        """What begin_transaction says; "" if it can be begun, and then it is aborted."""
        try:
            another = await self.works.begin(stage.producer)
        except IllegalStateError as error:
            return str(error)
        await self.works.abort(another)
        return ""

    async def proceed(self, stage: Stage) -> None:
        work = await self.works.begin(stage.producer)
        await stage.ledger.send(stage.producer, "orders")
        await self.works.send_offsets(work)
        await self.works.commit(work)
        await anyio.sleep(2 * self.options.marker_delay)

    def problems(self, stage: Stage) -> list[str]:
        return self.works.problems(stage.cluster.core.state)


class Begin(Transactional):
    """While the transaction before is being aborted, which takes a while."""

    least_steps = 5

    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        await stage.producer.flush()
        stage.cluster.hold()
        with anyio.move_on_after(0):
            await self.works.abort(self.work)

    async def call(self, stage: Stage) -> None:
        self.works.note(await stage.producer.begin_transaction())

    async def help(self, stage: Stage) -> None:
        await settled()
        stage.cluster.release()

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        if was_cancelled:
            await self.works.begin(stage.producer)
        begun = self.works.all[-1]
        stage.expect(len(self.works.all) == 2, "it was begun twice")
        await stage.ledger.send(stage.producer, "orders")
        await self.works.abort(self.work)  # it is aborted already
        await self.works.commit(begun)


class Commit(Transactional):
    """With records and offsets still on their way."""

    async def call(self, stage: Stage) -> None:
        await self.works.commit(self.work)

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        if was_cancelled:
            refusal = await self.refusal_of_another(stage)
            is_said = not refusal or any(each in refusal for each in (_OPEN, _FLUSHING, _COMMITTING))
            stage.expect(is_said, f"a cancelled commit does not say what is next: {refusal}")
        await self.works.commit(self.work)


class CommitThenAbort(Commit):
    """Aborted as soon as its commit was cancelled, unless that was sent."""

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        try:
            await self.works.abort(self.work)
        except IllegalStateError as error:
            is_said = any(each in str(error) for each in ("it is committed", _COMMITTING))
            stage.expect(is_said, f"a cancelled commit does not say what is next: {error}")
            await self.works.commit(self.work)
        stage.expect(was_cancelled or self.work.told is Told.COMMITTED, "what was committed is aborted")


class CommitInTheDark(CommitThenAbort):
    """The brokers do not hear of it until it was cancelled, or for a while."""

    async def fill(self, stage: Stage) -> None:
        await super().fill(stage)
        await stage.producer.flush()
        stage.cluster.hold()

    async def help(self, stage: Stage) -> None:
        await settled(15)
        stage.cluster.release()

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        stage.cluster.release()
        await super().verify(stage, was_cancelled=was_cancelled)


class Abort(Transactional):
    """With a record that is acknowledged, and others still on their way."""

    async def fill(self, stage: Stage) -> None:
        await stage.ledger.send(stage.producer, "orders")
        await super().fill(stage)
        await settled(2)

    async def call(self, stage: Stage) -> None:
        await self.works.abort(self.work)

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        del was_cancelled
        await self.works.abort(self.work)


class AbortThenBegin(Abort):
    """The next transaction waits for it."""

    was_asked = False

    async def call(self, stage: Stage) -> None:
        self.was_asked = True
        await super().call(stage)

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        if not self.was_asked:  # it was cancelled before it ran at all
            await super().verify(stage, was_cancelled=was_cancelled)
        work = await self.works.begin(stage.producer)
        await stage.ledger.submit(stage.producer, "orders")
        await self.works.abort(self.work)
        await self.works.commit(work)


class SendOffsets(Transactional):
    """They belong to the transaction, whether anybody waits for them or not."""

    async def call(self, stage: Stage) -> None:
        await self.works.send_offsets(self.work)

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        del was_cancelled
        await self.works.commit(self.work)


class SendOffsetsThenAbort(SendOffsets):
    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        del was_cancelled
        await self.works.abort(self.work)


class Block(Transactional):
    """`async with producer.transaction()`: left by a cancellation, the transaction is over, one way or the other."""

    least_steps = 20
    trio_orders = 2

    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        await self.works.commit(self.work)

    async def call(self, stage: Stage) -> None:
        async with stage.producer.transaction() as transaction:
            self.work = self.works.note(transaction)
            await self.body(stage)
        self.work.told = Told.COMMITTED

    async def body(self, stage: Stage) -> None:
        await stage.ledger.send(stage.producer, "orders")
        await self.fill(stage)
        await self.works.send_offsets(self.work)

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        stage.expect(was_cancelled or self.work.told is Told.COMMITTED, "the block was left without its commit")
        refusal = await self.refusal_of_another(stage)
        stage.expect(not refusal, f"the block has left its transaction open: {refusal}")
        if self.work.told is Told.NOTHING:
            await self.works.end(self.work, is_commit="COMMITTED" in repr(self.work.transaction))


class BlockLeftByAnException(Block):
    async def call(self, stage: Stage) -> None:
        try:
            await super().call(stage)
        except LookupError as error:
            stage.expect(str(error) == "of the body", "another exception than the body's")
            await self.works.abort(self.work)

    async def body(self, stage: Stage) -> None:
        await super().body(stage)
        raise LookupError("of the body")

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        stage.expect(was_cancelled or self.work.told is Told.ABORTED, "the transaction of a failed block goes on")
        refusal = await self.refusal_of_another(stage)
        stage.expect(not refusal, f"the block has left its transaction open: {refusal}")
        await self.works.end(self.work, is_commit="COMMITTED" in repr(self.work.transaction))


class ProducerBlock(Transactional):
    """`async with Producer(...)` around it: nothing is left open at the brokers, nor here."""

    is_running = False
    least_steps = 40
    trio_orders = 2

    async def prepare(self, stage: Stage) -> None:
        self.works = Works("t", stage.ledger, "orders")

    async def call(self, stage: Stage) -> None:
        try:
            async with stage.producer as producer, producer.transaction() as transaction:
                self.work = self.works.note(transaction)
                await self.fill(stage)
                await self.works.send_offsets(self.work)
        finally:
            stage.nothing_is_open("after the block")
        self.work.told = Told.COMMITTED


TRANSACTION_PLAYS: Final[dict[str, Callable[[], Play]]] = {
    "begin_transaction": Begin,
    "commit": Commit,
    "commit, version 1": partial(Commit, version=1),
    "commit, markers late": partial(Commit, marker_delay=0.002),
    "commit, then abort": CommitThenAbort,
    "commit, in the dark": CommitInTheDark,
    "abort": Abort,
    "abort, version 1": partial(Abort, version=1),
    "abort, then begin": AbortThenBegin,
    "send_offsets": SendOffsets,
    "send_offsets, version 1": partial(SendOffsets, version=1),
    "send_offsets, then abort": SendOffsetsThenAbort,
    "async with transaction()": Block,
    "async with transaction(), version 1": partial(Block, version=1),
    "async with transaction(), exception": BlockLeftByAnException,
    "async with Producer, transaction()": ProducerBlock,
}

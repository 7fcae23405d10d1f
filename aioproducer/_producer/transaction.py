"""Transaction: records and offsets that take effect together, or never."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from aioproducer._logger import get_logger
from aioproducer._producer.consumer_offsets import offset_commit
from aioproducer._producer.send_path import park
from aioproducer._public import public_in
from aioproducer.errors import IllegalStateError, KafkaError
from aioproducer.errors._fresh import fresh

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from aioproducer._core.transactions.manager import TransactionManager
    from aioproducer._core.transactions.open_transaction import OpenTransaction, TransactionTicket
    from aioproducer._producer.send_path import SendPath
    from aioproducer._runtime.loop import Runtime
    from aioproducer._types import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

    OffsetsLike = Mapping[TopicPartition, OffsetAndMetadata] | Mapping[Any, Any] | Iterable[Any]
    GroupLike = str | ConsumerGroupMetadata | bytes | Any

_log = get_logger("aioproducer.transactions")


@public_in("aioproducer")
class Transaction:
    """One transaction, from `begin_transaction` (or `async with producer.transaction()`) to its end.

    Every record that the producer sends while it is open, from any task, belongs to it.
    """

    # Any: programs make none, and what stands behind it is not public.
    def __init__(self, send_path: Any, runtime: Any, core: Any) -> None:
        self._send_path: SendPath = send_path
        self._runtime: Runtime = runtime
        self._core: OpenTransaction = core

    def __repr__(self) -> str:
        outcome = self._core.outcome
        return f"<Transaction {'not over' if outcome is None else outcome.name}>"

    async def commit(self) -> None:
        """Wait until every record and offset of the transaction is acknowledged, then commit it.

        Takes at most delivery_timeout_ms for the records and max_block_ms for the commit itself. Cancelled, it goes on
        in the background: call it again to learn the outcome. Returns at once if it is committed already.

        Raises:
            TransactionAbortedError: a record, a call or offsets of it have failed (the cause), so that it was aborted.
            CommitOutcomeUnknownError: the commit was sent and not answered in time; call commit() again.
            ProducerFencedError: another producer with this transactional_id has taken over.
            IllegalStateError: abort() was called, or the producer does not run.

        Example:
            transaction = await producer.begin_transaction()
            await producer.send("orders", b"value")
            await transaction.commit()
        """
        transactions = self._transactions()
        await _wait(self._runtime, self._runtime.call(transactions.commit, self._core, self._runtime.clock()))

    async def abort(self) -> None:
        """Drop what was not sent, at once, and abort the transaction.

        Takes at most max_block_ms. Cancelled, it goes on in the background: call it again, or begin the next
        transaction, which waits for it. Returns at once if it is aborted already.

        Raises:
            KafkaTimeoutError: it was not confirmed in time, and goes on in the background; call abort() again.
            ProducerFencedError: another producer with this transactional_id has taken over.
            IllegalStateError: it is committed, or its commit was sent, or the producer does not run.

        Example:
            transaction = await producer.begin_transaction()
            await producer.submit("orders", b"value")
            await transaction.abort()
        """
        transactions = self._transactions()
        await _wait(self._runtime, self._runtime.call(transactions.abort, self._core, self._runtime.clock()))

    async def send_offsets(self, offsets: OffsetsLike, group: GroupLike) -> None:
        """Have a consumer group's offsets committed together with the transaction's records.

        Returns when the group's coordinator has them, within max_block_ms. Cancelled, it goes on in the background, and
        commit() waits for it. When it fails, the transaction can only be aborted.

        Args:
            offsets: for each partition the offset to go on from: a mapping of TopicPartition to OffsetAndMetadata or
                int (those of aiokafka and kafka-python do too), or confluent-kafka's list of TopicPartition.
            group: the group id; or the group's metadata, so that a member that was thrown out of the group is fenced
                (KIP-447): a ConsumerGroupMetadata, kafka-python's, or what confluent-kafka's consumer_group_metadata()
                returns.

        Raises:
            TypeError, ValueError: offsets or group are wrong; nothing was sent.
            TransactionAbortableError: the transaction can only be aborted.
            KafkaTimeoutError: not within max_block_ms; the transaction can only be aborted.
            KafkaError: the group's coordinator refused them, for example as the consumer is no member any more.
            IllegalStateError: the transaction is not open, or the producer does not run.

        Example:
            async with producer.transaction() as transaction:
                await producer.send("orders", b"value")
                await transaction.send_offsets({TopicPartition("in", 0): OffsetAndMetadata(42)}, "group")
        """
        transactions = self._transactions()
        commit = offset_commit(offsets, group)
        ticket = self._runtime.call(transactions.send_offsets, self._core, commit, self._runtime.clock())
        await _wait(self._runtime, ticket)

    def _transactions(self) -> TransactionManager:
        if self._send_path.running() is not self._runtime:
            raise IllegalStateError("the transaction is over: the producer was closed and started again since")
        return _of(self._runtime)


@public_in("aioproducer")
class TransactionBlock:
    """What `async with producer.transaction()` enters and leaves."""

    def __init__(self, send_path: Any, close_timeout_ms: int) -> None:  # Any: as above
        self._send_path: SendPath = send_path
        self._close_timeout = close_timeout_ms / 1000
        self._opened: tuple[Transaction, OpenTransaction, TransactionManager] | None = None

    async def __aenter__(self) -> Transaction:
        if self._opened is not None:
            raise IllegalStateError("a transaction block is entered once; call producer.transaction() for each")
        runtime, core = await _begin(self._send_path)
        transaction = Transaction(self._send_path, runtime, core)
        self._opened = transaction, core, _of(runtime)
        return transaction

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._opened is not None, "it was entered"
        transaction, core, transactions = self._opened
        if exc is not None:
            if core.outcome is None:  # else the body has ended it itself
                await self._abort(transaction)
            return
        if core.is_abort_asked:
            if core.outcome is None:  # the body did not wait for it
                await transaction.abort()
            return
        try:
            await transaction.commit()
        except anyio.get_cancelled_exc_class():
            if core.outcome is None:  # else it ended just when it was cancelled
                await self._end_cancelled(transaction, transactions)
            raise

    async def _abort(self, transaction: Transaction) -> None:
        """Abort because of the body's exception, which is what the caller is to hear of."""
        try:
            with anyio.CancelScope(shield=True), anyio.fail_after(self._close_timeout):
                await transaction.abort()
        except (KafkaError, TimeoutError) as error:
            _log.warning(
                "the transaction could not be aborted before its block was left: %s",
                _text(error),
                extra={"event_name": "abort_unfinished"},
            )

    async def _end_cancelled(self, transaction: Transaction, transactions: TransactionManager) -> None:
        """The commit is cancelled: abort what was not sent, else give the answer a little time."""
        try:
            with anyio.CancelScope(shield=True), anyio.fail_after(self._close_timeout):
                if transactions.is_commit_sent:
                    await transaction.commit()
                else:
                    await transaction.abort()
        except (KafkaError, TimeoutError) as error:
            _log.warning(
                "the transaction was cancelled while it was committed: %s",
                _text(error),
                extra={"event_name": "commit_cancelled"},
            )


def _text(error: BaseException) -> str:
    return str(error) or "close_timeout_ms is over"


async def begin(send_path: SendPath) -> Transaction:
    """Begin a transaction, after the one before has come to its end in the background.

    Raises:
        IllegalStateError: one is open, its commit has not ended, there is no transactional_id, or the producer does not
            run.
        KafkaTimeoutError: the abort of the one before, or the new epoch, takes longer than max_block_ms.
        ProducerFencedError: another producer with this transactional_id has taken over.
    """
    runtime, core = await _begin(send_path)
    return Transaction(send_path, runtime, core)


async def _begin(send_path: SendPath) -> tuple[Runtime, OpenTransaction]:
    runtime = send_path.running()
    transactions = _of(runtime)
    while transactions.is_passing:
        await _wait(runtime, runtime.call(transactions.wait_ready, runtime.clock()))
        send_path.running()
    return runtime, runtime.call(transactions.begin, runtime.clock())


def _of(runtime: Runtime) -> TransactionManager:
    transactions = runtime.sender.transactions
    if transactions is None:
        raise IllegalStateError("transactions need a transactional_id; give the producer one")
    return transactions


async def _wait(runtime: Runtime, ticket: TransactionTicket) -> None:
    """Park until the ticket is done; cancelled, what it waits for goes on."""
    if ticket.done:
        runtime.wake()
        await runtime.backend.yield_now()
    else:
        try:
            await park(runtime, ticket)
        except BaseException:
            runtime.call_or_later(_of(runtime).forget, ticket)
            raise
    if ticket.error is not None:
        raise fresh(ticket.error)

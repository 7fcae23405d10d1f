"""Bugs to plant into the transactions of the core; see `bugs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aioproducer._core.transactions.open_transaction import TransactionOutcome
from aioproducer._core.transactions.state_machine import TransactionStateMachine
from aioproducer._core.transactions.states import TransactionEvent, TransactionState
from tests.simulation.bugs import PlantedBug
from tests.simulation.history import Result, run
from tests.simulation.presets import inside
from tests.simulation.scenario import TRANSACTIONAL_SEEDS

if TYPE_CHECKING:
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.sender import Sender

# Any, here and below: parts of the core that are private to it, and replaced.


def first_transactions_caught(bug: PlantedBug, histories: int) -> tuple[int, Result] | None:
    """Return how many histories with transactions it took until the bug broke a promise, and the last; else None."""
    for number in range(histories):
        result = run(4 * number + TRANSACTIONAL_SEEDS, bug=bug)
        if result.violation:
            return number + 1, result
    return None


def _do_nothing(*arguments: Any) -> None:
    """What is put in the place of a step that is left out."""


def _yes(*arguments: Any) -> bool:
    return True


def _ended_before_all_is_delivered(sender: Sender, accumulator: Accumulator) -> None:
    progress = inside(sender, "transactions", "_progress")

    def at_once(transaction: Any, now: float) -> None:
        progress._machine.move(TransactionEvent.FLUSHED)
        progress._end(transaction)

    progress._flush_all = at_once


def _commit_repeated_as_abort(sender: Sender, accumulator: Accumulator) -> None:
    requests = inside(sender, "transactions", "_requests")
    ending = requests.ending

    def that_changes(transaction: Any, *, is_commit: bool) -> Any:
        request = ending(transaction, is_commit=is_commit)
        on_lost = request.on_lost

        def and_changed(error: Any, now: float) -> None:
            on_lost(error, now)
            request.is_commit = False

        request.on_lost = and_changed
        return request

    requests.ending = that_changes


def _epoch_of_the_end_ignored(sender: Sender, accumulator: Accumulator) -> None:
    responses = inside(sender, "transactions", "_responses")
    sequences = inside(responses, "_sequences")
    on_ended = responses._on_ended

    def without_epoch(*arguments: Any) -> None:
        set_producer_id = sequences.set_producer_id
        sequences.set_producer_id = _do_nothing
        on_ended(*arguments)
        sequences.set_producer_id = set_producer_id

    responses._on_ended = without_epoch


def _data_before_its_partition(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(sender, "transactions")

    def within_any(batch: ProducerBatch, **_: Any) -> bool:
        return core.current is not None

    core.can_send = within_any


def _partitions_kept_over_the_end(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(sender, "transactions")
    begin = core.begin
    kept: set[Any] = set()

    def with_those_before(now: float) -> Any:
        transaction = begin(now)
        transaction.added |= kept
        return transaction

    responses = inside(core, "_responses")
    finish = responses.finish

    def and_keep(transaction: Any, outcome: Any) -> None:
        kept.update(transaction.added)
        finish(transaction, outcome)

    core.begin = with_those_before
    responses.finish = and_keep


def _ended_before_its_offsets(sender: Sender, accumulator: Accumulator) -> None:
    progress = inside(sender, "transactions", "_progress")

    def without_offsets(transaction: Any, now: float) -> None:
        accumulator.begin_flush(now)
        if accumulator.is_empty and not accumulator.has_waiting_appends:
            progress._machine.move(TransactionEvent.FLUSHED)
            progress._end(transaction)

    progress._flush_all = without_offsets


def _fencing_taken_for_abortable(sender: Sender, accumulator: Accumulator) -> None:
    responses = inside(sender, "transactions", "_responses")
    machine = inside(responses, "_machine")
    fence = responses._fence

    def and_come_back(refusal: Any, alternative: str = "") -> None:
        transaction = machine.current
        if transaction is None or machine.state not in (TransactionState.ABORTING, TransactionState.COMMITTING):
            fence(refusal, alternative)
            return
        transaction.cause = refusal
        # Which gets a new producer id, and fences its successor.
        machine.end(transaction, TransactionOutcome.ABORTED, TransactionEvent.ENDED_STALE)

    responses._fence = and_come_back


def _doubt_of_the_fenced_forgotten(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(sender, "transactions")
    responses = inside(core, "_responses")
    fence = responses._fence

    def without_doubt(*arguments: Any) -> None:
        if core.current is not None and core.current.end is not None:
            core.current.end.was_lost = False
        fence(*arguments)

    responses._fence = without_doubt


def _lost_end_taken_for_done(sender: Sender, accumulator: Accumulator) -> None:
    """The end is still on its way, and may meet the next transaction."""
    core = inside(sender, "transactions")
    requests = inside(core, "_requests")
    ending = requests.ending

    def that_is_done(transaction: Any, *, is_commit: bool) -> Any:
        request = ending(transaction, is_commit=is_commit)
        on_lost = request.on_lost

        def and_finish(error: Any, now: float) -> None:
            on_lost(error, now)
            if core.current is not None and core.current.end is request:
                outcome = TransactionOutcome.COMMITTED if is_commit else TransactionOutcome.ABORTED
                core._responses.finish(transaction, outcome)

        request.on_lost = and_finish
        return request

    requests.ending = that_is_done


def _sequences_not_reset(sender: Sender, accumulator: Accumulator) -> None:
    sequences = inside(sender, "_sequences")
    set_producer_id = sequences.set_producer_id

    def and_keep(producer_id: int, producer_epoch: int) -> Any:
        before = {tp: known.next_sequence for tp, known in sequences._partitions.items()}
        result = set_producer_id(producer_id, producer_epoch)
        for tp, known in sequences._partitions.items():
            known.next_sequence = before.get(tp, known.next_sequence)
        kept.update(before)
        return result

    kept: dict[Any, int] = {}
    number = sequences._number

    def as_before(known: Any, batch: ProducerBatch) -> None:
        for tp, following in kept.items():
            if tp == (batch.topic, batch.partition) and known.next_sequence == 0:
                known.next_sequence = following
        number(known, batch)

    sequences.set_producer_id = and_keep
    sequences._number = as_before


class _Doubtless(TransactionStateMachine):
    @property
    def is_commit_in_doubt(self) -> bool:
        return False


def _unknown_told_as_aborted(sender: Sender, accumulator: Accumulator) -> None:
    inside(sender, "transactions", "_machine").__class__ = _Doubtless


def _failed_record_committed(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(sender, "transactions")
    on_batches = core.on_batches

    def as_if_delivered(batches: list[ProducerBatch]) -> None:
        on_batches([batch for batch in batches if batch.error is None])

    core.on_batches = as_if_delivered


def _refused_call_committed(sender: Sender, accumulator: Accumulator) -> None:
    inside(accumulator).take_refusal = lambda: None


def _abort_not_seen_through(sender: Sender, accumulator: Accumulator) -> None:
    inside(sender, "transactions", "_progress")._is_resolved = _yes


def _wait_forgotten(sender: Sender, accumulator: Accumulator) -> None:
    waiters = inside(sender, "transactions", "_waiters")
    finish = waiters.finish

    def without_waking(ticket: Any, error: Any) -> None:
        finish(ticket, error)
        waiters._woken = waiters._woken[:1]

    waiters.finish = without_waking


def _late_answers_taken(sender: Sender, accumulator: Accumulator) -> None:
    inside(sender, "transactions", "_responses").is_wanted = _yes


def _wait_hidden_behind_a_request(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(sender, "transactions")
    times = core.times
    core.times = lambda: [min(times(), default=float("inf"))]


def _drop_told_as_not_written(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(accumulator)
    fail_where = core.fail_where

    def without_doubt(error: Any, condition: Any) -> Any:
        for batch in core._unfinished:
            if condition(batch):
                batch.possibly_written = False
        return fail_where(error, condition)

    core.fail_where = without_doubt


TRANSACTION_BUGS: Final = (
    PlantedBug("end too early", "a commit is sent before all batches are delivered", _ended_before_all_is_delivered),
    PlantedBug("commit repeated as abort", "an EndTxn whose answer is lost changes sides", _commit_repeated_as_abort),
    PlantedBug("epoch of the end ignored", "what EndTxn 5 gives is not used", _epoch_of_the_end_ignored),
    PlantedBug("data before its partition", "version 1: a batch does not wait to be added", _data_before_its_partition),
    PlantedBug(
        "partitions kept over the end", "version 1: the next transaction adds them not", _partitions_kept_over_the_end
    ),
    PlantedBug("end before its offsets", "a commit does not wait for send_offsets", _ended_before_its_offsets),
    PlantedBug("fencing taken for abortable", "a zombie comes back", _fencing_taken_for_abortable),
    PlantedBug(
        "doubt of the fenced", "fenced after a lost commit, it says nothing is written", _doubt_of_the_fenced_forgotten
    ),
    PlantedBug("lost end taken for done", "a lost EndTxn meets the next transaction", _lost_end_taken_for_done),
    PlantedBug("sequences not reset", "a new epoch begins with the old sequence", _sequences_not_reset),
    PlantedBug("unknown told as aborted", "a commit without an answer is told to be aborted", _unknown_told_as_aborted),
    PlantedBug("failed record committed", "a failed batch does not fail its transaction", _failed_record_committed),
    PlantedBug("refused call committed", "nor does a send that timed out", _refused_call_committed),
    PlantedBug("abort not seen through", "version 1: with batches or requests under way", _abort_not_seen_through),
    PlantedBug("wait forgotten", "of several calls that wait one is woken", _wait_forgotten),
    PlantedBug("late answers taken", "an answer about the transaction before counts", _late_answers_taken),
    PlantedBug(
        "wait hidden", "the end of a wait hides behind a request that waits, too", _wait_hidden_behind_a_request
    ),
    PlantedBug("drop told as not written", "an abort drops what is in flight, and says so", _drop_told_as_not_written),
)
"""In the order of the table in docs/promises.md; the last three were in this core until they were looked for."""

"""Was every transaction whole or not at all, records and offsets together, and is nothing of it left undecided?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.transactions.open_transaction import TransactionOutcome
from aioproducer._core.transactions.requests import VERSION_1
from aioproducer._core.transactions.states import TransactionState as CoreState
from aioproducer.errors import BufferFullError, ErrorCode, IllegalStateError, ProducerClosedError, ProducerFencedError
from aioproducer.testing._broker.transactions import TransactionState
from tests.simulation.calls import Violation
from tests.simulation.transactional import ID, OFFSETS_OF

if TYPE_CHECKING:
    from aioproducer.errors import KafkaError
    from tests.simulation.history import History
    from tests.simulation.party import Party
    from tests.simulation.transactor import Transactor, Work

FATAL_FAULTS = ("fail_transaction", "fail_init")
"""Faults after which a producer may have come to its end."""

_HARMLESS = (type(None), IllegalStateError, BufferFullError)
"""What a call may be refused with and do its transaction no harm."""


def settle(history: History) -> None:
    """Let the coordinator end what was given up, after a look at what it has to be left with.

    Raises:
        Violation: a transaction is left open that should not be.
    """
    scenario, state = history.scenario, history.cluster.state
    assert scenario.transactional is not None
    history.faults.heal()
    now = history.clock.now + scenario.transactional.marker_delay
    history.cluster.poll(now)
    known = state.transactions.get(ID)
    if known is not None and _is_all_ended(history):
        if known.is_ending or known.state is TransactionState.ONGOING:
            raise Violation(f"every transaction has ended, and the coordinator has it {known.state.name}")
        _examine_stable(history, "every transaction has ended")
    while (deadline := state.transactions.deadline()) is not None:
        history.cluster.poll(deadline)
    _examine_stable(history, "the coordinator has ended all")


def examine_transactions(history: History, visible: set[int]) -> None:
    """Judge the transactions of all producers.

    Args:
        visible: numbers of the records that a reader of committed data sees.

    Raises:
        Violation: a promise was broken.
    """
    for party in history.parties:
        transactor = party.transactor
        assert transactor is not None
        if transactor.waiting:
            raise Violation(f"calls wait still: {[each.awaited.name for each in transactor.waiting]}")
        _examine_end(party, transactor)
        for work in transactor.works:
            _examine_work(history, work, visible)
        _examine_strays(party, transactor)


def examine_probe(transactor: Transactor) -> None:
    """Whether the transaction that was begun when all was well again is committed.

    Raises:
        Violation: it is not.
    """
    work = transactor.probe_work
    if work is None or work.told is not TransactionOutcome.COMMITTED:
        told = "never begun" if work is None else f"{work.told}: {work.cause!r}"
        raise Violation(f"the transaction that was made when all was well again is {told}")


def _is_all_ended(history: History) -> bool:
    """Whether the producer that has the transactional id knows that each of its transactions has ended."""
    inits = history.network.inits
    owner = next((party for party in history.parties if inits and party.network is inits[-1][0]), None)
    if owner is None or owner.transactor is None or not inits[-1][1]:
        return False
    assert owner.sender.transactions is not None
    if owner.sender.transactions.state is not CoreState.READY:
        return False
    return all(work.transaction.outcome is not None for work in owner.transactor.works)


def _examine_stable(history: History, why: str) -> None:
    for partition in history.cluster.state.partitions():
        if partition.last_stable_offset < partition.high_watermark:
            raise Violation(
                f"{why}, and {partition.topic}-{partition.index} can be read to {partition.last_stable_offset} only,"
                f" of {partition.high_watermark}"
            )


def _examine_end(party: Party, transactor: Transactor) -> None:
    fatal = transactor.fatal
    if fatal is None or isinstance(fatal, ProducerClosedError) or set(party.scenario.faults) & set(FATAL_FAULTS):
        return
    # The producer id is another one when the epochs of the one before are used up.
    is_told = isinstance(fatal, ProducerFencedError) or fatal.code == ErrorCode.INVALID_PRODUCER_ID_MAPPING
    if is_told and (_was_replaced(party) or _cannot_tell(party, transactor)):
        return
    raise Violation(f"the producer cannot go on, for no reason: {fatal!r}, {fatal.__cause__!r}")


def _cannot_tell(party: Party, transactor: Transactor) -> bool:
    """Whether the coordinator has aborted what the producer does not know it has begun (version 1)."""
    last = transactor.works[-1].transaction if transactor.works else None
    return last is not None and last.version == VERSION_1 and not last.is_begun and _times_out(party)


def _times_out(party: Party) -> bool:
    return party.scenario.config.transaction_timeout_ms < 60_000


def _was_replaced(party: Party) -> bool:
    """Whether anybody else asked for the producer id after this producer had got it."""
    inits = party.network.inits
    given = [index for index, (network, is_given) in enumerate(inits) if network is party.network and is_given]
    return bool(given) and given[0] < len(inits) - 1


def _examine_work(history: History, work: Work, visible: set[int]) -> None:
    accepted = [call for call in work.calls if call.accepted_at is not None]
    seen = [repr(call) for call in accepted if call.number in visible]
    hidden = [repr(call) for call in accepted if call.number not in visible]
    groups = history.groups
    for group, offset in work.offsets.items():
        (seen if offset in groups.committed else hidden).append(f"offset {offset}")
        if groups.is_pending(group, OFFSETS_OF):
            raise Violation(f"the offsets of {work} are neither committed nor dropped")
    if work.told is TransactionOutcome.COMMITTED:
        failed = [f"{call}: {call.error}" for call in accepted if call.error is not None]
        failed += [f"{call}: {call.refusal}" for call in work.calls if not isinstance(call.refusal, _HARMLESS)]
        if hidden or failed:
            raise Violation(f"{work} is committed; hidden: {hidden}, failed: {failed}")
    elif seen and (why := _why_hidden(work)):
        raise Violation(f"{work} is {why}; visible: {seen}")
    if seen and hidden:
        raise Violation(f"{work} is visible in part: {seen}, and not {hidden}")


def _why_hidden(work: Work) -> str:
    """Why nothing of it may be seen; "" if it may."""
    if work.told is TransactionOutcome.ABORTED:
        return "aborted"
    if not work.was_commit_asked:
        return "not committed by anybody"
    return "not committed, by what was told" if _is_told_not_committed(work.refusal) else ""


def _is_told_not_committed(refusal: KafkaError | None) -> bool:
    return refusal is not None and not refusal.possibly_written


def _examine_strays(party: Party, transactor: Transactor) -> None:
    """Whether a record was accepted outside of a transaction."""
    owned = {call.number for work in transactor.works for call in work.calls}
    for call in party.calls.calls:
        if call.accepted_at is not None and call.number not in owned:
            raise Violation(f"{call} was accepted, and no transaction was open")

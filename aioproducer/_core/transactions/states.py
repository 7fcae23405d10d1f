"""The states of a transactional producer, and what leads from one to another: one table, and its drawing."""

from __future__ import annotations

from enum import Enum
from typing import Final


class TransactionState(Enum):
    """Where a transactional producer is, in the words of its refusals."""

    INITIALIZING = "no transaction is open; its producer id or a new epoch is being fetched"
    READY = "no transaction is open; begin one with `async with producer.transaction()`"
    IN_TRANSACTION = "a transaction is open"
    ABORTABLE_ERROR = "the open transaction has failed and can only be aborted"
    FLUSHING = "commit() was called and not everything is acknowledged yet; call commit() again, or abort()"
    COMMITTING = "its commit was sent; call commit() again to learn the outcome"
    ABORTING = "it is being aborted; call abort() again to wait for that"
    FENCED_OR_TIMED_OUT = "the coordinator is being asked whether another producer took over, or the time was up"
    FATAL_ERROR = "the producer cannot go on; close it and make a new one"


class TransactionEvent(Enum):
    """What happens to it."""

    IDENTIFIED = "InitProducerId is answered"
    BEGIN = "begin_transaction()"
    COMMIT = "commit()"
    ABORT = "abort()"
    FAIL = "a record, a call, offsets or the commit failed"
    FLUSHED = "everything is acknowledged"
    ENDED = "EndTxn is answered, or was not needed"
    ENDED_STALE = "the same, and a new epoch is needed"
    EPOCH_REFUSED = "EndTxn finds the epoch over, and the time was up"
    TIMED_OUT = "it was aborted as its time was up"
    FAIL_FATAL = "fenced, or another fatal error"


_S = TransactionState
_E = TransactionEvent

TRANSITIONS: Final[dict[tuple[TransactionState, TransactionEvent], TransactionState]] = {
    (_S.INITIALIZING, _E.IDENTIFIED): _S.READY,
    (_S.READY, _E.BEGIN): _S.IN_TRANSACTION,
    (_S.IN_TRANSACTION, _E.COMMIT): _S.FLUSHING,
    (_S.IN_TRANSACTION, _E.ABORT): _S.ABORTING,
    (_S.IN_TRANSACTION, _E.FAIL): _S.ABORTABLE_ERROR,
    (_S.ABORTABLE_ERROR, _E.COMMIT): _S.ABORTING,  # which the call reports, with the cause
    (_S.ABORTABLE_ERROR, _E.ABORT): _S.ABORTING,
    (_S.ABORTABLE_ERROR, _E.FAIL): _S.ABORTABLE_ERROR,  # the first cause counts
    (_S.FLUSHING, _E.ABORT): _S.ABORTING,  # nothing of the commit was sent
    (_S.FLUSHING, _E.FAIL): _S.ABORTING,
    (_S.FLUSHING, _E.FLUSHED): _S.COMMITTING,
    (_S.COMMITTING, _E.FAIL): _S.ABORTING,  # the coordinator refused the commit
    (_S.COMMITTING, _E.ENDED): _S.READY,
    (_S.COMMITTING, _E.ENDED_STALE): _S.INITIALIZING,
    (_S.COMMITTING, _E.EPOCH_REFUSED): _S.FENCED_OR_TIMED_OUT,
    (_S.ABORTING, _E.FAIL): _S.ABORTING,
    (_S.ABORTING, _E.ENDED): _S.READY,
    (_S.ABORTING, _E.ENDED_STALE): _S.INITIALIZING,
    (_S.ABORTING, _E.EPOCH_REFUSED): _S.FENCED_OR_TIMED_OUT,
    (_S.FENCED_OR_TIMED_OUT, _E.TIMED_OUT): _S.INITIALIZING,
    **{(state, _E.FAIL_FATAL): _S.FATAL_ERROR for state in TransactionState},
}
"""(state, event) → state. What is missing cannot happen; a call that would make it happen is refused."""


def next_state(state: TransactionState, event: TransactionEvent) -> TransactionState:
    """Return where the event leads.

    Raises:
        AssertionError: it cannot happen in this state.
    """
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise AssertionError(f"{event.name} cannot happen in state {state.name}")
    return following


def diagram() -> str:
    """Return the table as a Mermaid state diagram, for docs/transactions.md."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> INITIALIZING"]
    for (state, event), following in TRANSITIONS.items():
        if event is not _E.FAIL_FATAL and following is not state:
            lines.append(f"    {state.name} --> {following.name}: {event.name}")
    lines += ["```", "", "FAIL_FATAL leads from every state to FATAL_ERROR.", ""]
    lines += ["| state | meaning |", "|---|---|"]
    lines += [f"| {state.name} | {state.value} |" for state in TransactionState]
    lines += ["", "| event | when |", "|---|---|"]
    lines += [f"| {event.name} | {event.value} |" for event in TransactionEvent]
    return "\n".join(lines) + "\n"

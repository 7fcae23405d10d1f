"""The table of states: every pair of state and event, and its drawing in the documentation."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from aioproducer._core.transactions.states import TRANSITIONS, TransactionEvent, TransactionState, diagram, next_state

S = TransactionState
E = TransactionEvent

# Written by hand a second time, from the point of view of each state: what may happen in it.
POSSIBLE = {
    S.INITIALIZING: {E.IDENTIFIED: S.READY},
    S.READY: {E.BEGIN: S.IN_TRANSACTION},
    S.IN_TRANSACTION: {E.COMMIT: S.FLUSHING, E.ABORT: S.ABORTING, E.FAIL: S.ABORTABLE_ERROR},
    S.ABORTABLE_ERROR: {E.COMMIT: S.ABORTING, E.ABORT: S.ABORTING, E.FAIL: S.ABORTABLE_ERROR},
    S.FLUSHING: {E.FLUSHED: S.COMMITTING, E.ABORT: S.ABORTING, E.FAIL: S.ABORTING},
    S.COMMITTING: {
        E.ENDED: S.READY,
        E.ENDED_STALE: S.INITIALIZING,
        E.FAIL: S.ABORTING,
        E.EPOCH_REFUSED: S.FENCED_OR_TIMED_OUT,
    },
    S.ABORTING: {
        E.ENDED: S.READY,
        E.ENDED_STALE: S.INITIALIZING,
        E.FAIL: S.ABORTING,
        E.EPOCH_REFUSED: S.FENCED_OR_TIMED_OUT,
    },
    S.FENCED_OR_TIMED_OUT: {E.TIMED_OUT: S.INITIALIZING},
    S.FATAL_ERROR: {},
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(S, E)), ids=lambda each: each.name)
def test_every_event_in_every_state_leads_where_it_should(state: S, event: E) -> None:
    expected = S.FATAL_ERROR if event is E.FAIL_FATAL else POSSIBLE[state].get(event)
    if expected is None:
        with pytest.raises(AssertionError, match=f"{event.name} cannot happen in state {state.name}"):
            next_state(state, event)
    else:
        assert next_state(state, event) is expected


def test_a_commit_that_was_sent_is_never_followed_by_the_users_abort() -> None:
    assert (S.COMMITTING, E.ABORT) not in TRANSITIONS


def test_every_state_but_the_fatal_one_leads_back_to_ready() -> None:
    leads_there = {S.READY}
    for _ in S:
        leads_there |= {state for (state, _), following in TRANSITIONS.items() if following in leads_there}
    assert leads_there == set(S) - {S.FATAL_ERROR}


def test_the_drawing_in_the_documentation_is_the_table() -> None:
    text = (Path(__file__).parents[4] / "docs" / "transactions.md").read_text()
    _, _, rest = text.partition("<!-- states -->\n")
    drawn, _, _ = rest.partition("<!-- end of states -->")
    assert drawn == diagram(), "put what diagram() returns between the two marks in docs/transactions.md"

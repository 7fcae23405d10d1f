"""Epochs: what a flush waits for."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from aioproducer._core.accumulator.flush import FlushEpochs

if TYPE_CHECKING:
    from aioproducer._core.accumulator.waiting import FlushTicket


def test_a_flush_waits_for_earlier_epochs_too() -> None:
    flushes = FlushEpochs()
    flushes.enter(0)
    first = flushes.begin()
    flushes.enter(1)
    second = flushes.begin()
    assert flushes.leave(1) == []
    assert flushes.leave(0) == [first, second]
    assert flushes.is_empty


def test_a_flush_with_nothing_unfinished_is_done_at_once() -> None:
    flushes = FlushEpochs()
    assert flushes.begin().done
    assert not flushes.is_flushing


def test_an_ended_flush_is_not_told() -> None:
    flushes = FlushEpochs()
    flushes.enter(0)
    ticket = flushes.begin()
    flushes.end(ticket)
    assert not flushes.is_flushing
    assert flushes.leave(0) == []
    assert not ticket.done


def test_the_current_epoch_can_be_entered_again_after_it_was_empty() -> None:
    flushes = FlushEpochs()
    flushes.enter(0)
    flushes.leave(0)
    flushes.enter(0)
    ticket = flushes.begin()
    assert flushes.leave(0) == [ticket]


def test_a_flush_is_done_exactly_when_all_before_it_is() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        flushes = FlushEpochs()
        unfinished: list[int] = []
        waiting: list[FlushTicket] = []
        for _ in range(200):
            action = rng.random()
            if action < 0.4:
                unfinished.append(flushes.epoch)
                flushes.enter(flushes.epoch)
            elif action < 0.5:
                ticket = flushes.begin()
                assert ticket.done == (not unfinished), seed
                if not ticket.done:
                    waiting.append(ticket)
            elif unfinished:
                flushes.leave(unfinished.pop(rng.randrange(len(unfinished))))
            for ticket in waiting:
                assert ticket.done == all(epoch > ticket.epoch for epoch in unfinished), seed

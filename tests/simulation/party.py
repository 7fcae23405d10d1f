"""One producer of a history: its core, its network, its calls, and what the shell does for them.

It polls when the core says so, and acts on the effects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from aioproducer._core.accumulator.accumulator import Accumulator
from aioproducer._core.effects import Completed, Connect, Disconnect, Reauthenticate, Send
from aioproducer._core.sender import Sender
from tests.simulation import evidence
from tests.simulation.calls import Calls, Violation
from tests.simulation.network import Network
from tests.simulation.presets import near_the_wrap
from tests.simulation.transactor import Transactor

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.effects import Effect
    from aioproducer.testing._broker import ClusterCore
    from tests.simulation.clock import Clock
    from tests.simulation.scenario import Scenario
    from tests.simulation.trace import Trace

MAX_EMPTY_POLLS: Final = 30
"""Polls in a row that a deadline asked for and that brought nothing; more would be a loop that burns the processor."""


class Party:
    """A producer, and the program that uses it.

    Attributes:
        transactor: that part of the program which begins and ends transactions; None if it has none.
        is_over: it is closed, and nothing of it is left to wait for.
    """

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        cluster: ClusterCore,
        rng: Random,
        core_rng: Random,
        trace: Trace,
        first_number: int = 0,
    ) -> None:
        self.scenario = scenario
        self.is_over = False
        self._clock = clock
        self._rng = rng
        self._trace = trace
        self.accumulator = Accumulator(scenario.config, core_rng)
        self.sender = Sender(scenario.config, self.accumulator, core_rng)
        if scenario.first_sequence:
            near_the_wrap(self.sender, scenario.first_sequence)
        self.network = Network(scenario, clock, cluster, self.sender, rng, trace)
        self.network.set_wake(self._poll_soon)
        self.calls = Calls(scenario, clock, self.accumulator, self.wake, rng, trace, first_number)
        self.transactor: Transactor | None = None
        if self.sender.transactions is not None:
            self.transactor = Transactor(scenario, clock, self.sender.transactions, self.wake, rng, trace, first_number)
            self.calls.on_call = self.transactor.on_call
        self._is_poll_set = False
        self._has_to_poll = True  # something besides what came over the network asks for it
        self._due: float | None = None
        self._timer = 0
        self._empty_polls = 0
        self._is_finished: Callable[[Party], bool] = _never

    def set_finish(self, is_finished: Callable[[Party], bool]) -> None:
        """Set what is asked after each poll: whether it is over."""
        self._is_finished = is_finished

    def wake(self) -> None:
        """Have the core polled in the next pass of the loop, which comes a little late."""
        self.accumulator.needs_wake = False
        self._has_to_poll = True
        self._poll_soon()

    def _poll_soon(self) -> None:
        if not self._is_poll_set:
            self._is_poll_set = True
            lateness = self.scenario.poll_lateness
            self._clock.after(self._rng.random() * lateness if lateness else 0.0, self._poll)

    def _poll(self) -> None:
        self._is_poll_set = False
        self._empty_polls = 0
        delivered = None if self._has_to_poll else self.sender.take_delivered()
        if delivered is None:
            self._has_to_poll = False
            self._poll_now()
            return
        for batch in delivered:
            self._complete(batch)
        if not self._is_poll_set:
            self._rng.random()  # as a poll does: a history is the same whether an answer needs one or not
        if self._due is not None:
            self._arm(max(self._due, self._clock.now))
        self.is_over = self._is_finished(self)

    def _on_timer(self, timer: int) -> None:
        if timer != self._timer or self._is_poll_set:
            return
        effects, woken = self._poll_now()
        self._empty_polls = 0 if effects or woken else self._empty_polls + 1
        if self._empty_polls > MAX_EMPTY_POLLS:
            raise Violation(f"{self._empty_polls} polls in a row that were asked for brought nothing")

    def _poll_now(self) -> tuple[int, int]:
        now = self._clock.now
        effects = self.sender.poll(now)
        for effect in effects:
            self._act(effect)
        woken = self.accumulator.take_woken()
        if woken:
            self.calls.wake(woken)
        count = len(woken) + (0 if self.transactor is None else self.transactor.wake_all())
        if not self._is_poll_set and self._rng.random() < 0.1:
            again = self.sender.poll(now)
            if again:
                raise Violation(f"the second poll at the same time brought {again}")
        evidence.examine_line(self)
        evidence.examine_leaders(self)
        self._set_timer(now)
        self.is_over = self._is_finished(self)
        return len(effects), count

    def _set_timer(self, now: float) -> None:
        self._timer += 1
        due = self._due = self.sender.deadline(now)
        if due is None:
            return
        if due <= now and not self._is_poll_set:
            raise Violation(f"the deadline after a poll is {now - due:.6f} s in the past")
        self._arm(due)

    def _arm(self, due: float) -> None:
        self._timer += 1
        self._clock.at(due + self._rng.random() * self.scenario.poll_lateness, self._on_timer, self._timer)

    def _act(self, effect: Effect) -> None:
        self._trace("effect", effect)
        match effect:
            case Send():
                self.network.send(effect)
            case Completed():
                for batch in effect.batches:
                    self._complete(batch)
            case Connect():
                self.network.connect(effect)
            case Reauthenticate():
                self.network.reauthenticate(effect)
            case Disconnect():
                self.network.disconnect(effect)
            case _:
                assert_never(effect)

    def _complete(self, batch: ProducerBatch) -> None:
        if batch.error is not None and batch.charged == 0 and self.network.is_on_wire(batch):
            raise Violation(f"the memory of {batch} is free while its bytes are on the wire")
        self.calls.complete(batch)


def _never(party: Party) -> bool:
    """Stands in for the judgement of the history, until there is one."""
    del party
    return False

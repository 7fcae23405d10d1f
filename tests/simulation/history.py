"""One history from its first poll to its last: core, brokers, network, calls and faults together."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final, Protocol, assert_never

from aioproducer._core.accumulator import Accumulator
from aioproducer._core.effects import Completed, Connect, Disconnect, Send
from aioproducer._core.sender import Sender
from aioproducer.errors import ProducerClosedError
from aioproducer.testing._broker import ClusterCore
from aioproducer.testing._broker.state import Options
from tests.simulation import evidence
from tests.simulation.calls import Call, Calls, Violation
from tests.simulation.clock import Clock
from tests.simulation.faults import Faults
from tests.simulation.network import Network
from tests.simulation.presets import near_the_wrap
from tests.simulation.scenario import Scenario, draw
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from aioproducer._core.batch import ProducerBatch
    from aioproducer._core.effects import Effect

MAX_EVENTS: Final = 30_000
MAX_EMPTY_POLLS: Final = 30
"""Polls in a row that a deadline asked for and that brought nothing; more would be a loop that burns the processor."""

_EXAMINE_EVERY: Final = 64


class Bug(Protocol):
    """Something wrong that is planted into a core before its history begins."""

    def plant(self, sender: Sender, accumulator: Accumulator) -> None:
        """Make it wrong."""
        ...


@dataclass(slots=True)
class Result:
    """What came of a history.

    Attributes:
        violation: the promise that was broken, or "".
        events: calls, messages, timers, faults.
        records, acknowledged: how many were accepted, and delivered.
        lines: the trace, if one was asked for.
    """

    seed: int
    violation: str = ""
    events: int = 0
    records: int = 0
    acknowledged: int = 0
    lines: list[str] = field(default_factory=list[str])


def run(seed: int | Scenario, *, bug: Bug | None = None, is_traced: bool = False) -> Result:
    """Let a history happen and judge it. Bugs in the core that raise count as violations."""
    scenario = draw(seed) if isinstance(seed, int) else seed
    history = History(scenario, is_traced=is_traced)
    if bug is not None:
        bug.plant(history.sender, history.accumulator)
    result = Result(scenario.seed)
    try:
        history.run()
    except Exception as error:
        result.violation = f"{type(error).__name__}: {error}"
        if not isinstance(error, Violation):
            result.violation += f" ({_where(error)})"
    result.events = history.clock.events
    result.records = sum(call.accepted_at is not None for call in history.calls.calls)
    result.acknowledged = sum(
        call.accepted_at is not None and call.done_at is not None and call.error is None for call in history.calls.calls
    )
    result.lines = history.trace.lines
    return result


def _where(error: BaseException) -> str:
    place = error.__traceback__
    assert place is not None
    while place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}"


class History:
    """Everything of one history. It is the shell as well: it polls when the core says so, and acts on the effects."""

    def __init__(self, scenario: Scenario, *, is_traced: bool = False) -> None:
        self.scenario = scenario
        self.clock = Clock()
        self.trace = Trace(self.clock, is_on=is_traced)
        seed = scenario.seed
        self._rng = Random(seed * 4 + 1)
        self.cluster = self._cluster(Random(seed * 4 + 2))
        self.cluster.poll(self.clock.now)
        core_rng = Random(seed * 4 + 3)
        self.accumulator = Accumulator(scenario.config, core_rng)
        self.sender = Sender(scenario.config, self.accumulator, core_rng)
        if scenario.first_sequence:
            near_the_wrap(self.sender, scenario.first_sequence)
        self.network = Network(scenario, self.clock, self.cluster, self.sender, self._rng, self.trace)
        self.network.set_wake(self.wake)
        self.calls = Calls(scenario, self.clock, self.accumulator, self.wake, self._rng, self.trace)
        self.faults = Faults(scenario, self.clock, self.cluster, self.network, self._rng, self.trace)
        self._is_poll_set = False
        self._timer = 0
        self._empty_polls = 0
        self._is_over = False
        self._ended_at = float("inf")
        self.probes: list[Call] = []

    def _cluster(self, rng: Random) -> ClusterCore:
        scenario = self.scenario
        options = Options(
            partitions=1,
            replication_factor=scenario.replication,
            topic_config=scenario.topic_settings,
            max_versions=scenario.max_versions,
        )
        cluster = ClusterCore(scenario.brokers, rng=rng, options=options)
        for node in cluster.state.nodes.values():
            node.host, node.port = f"b{node.id}", 9092
        for topic, partitions in scenario.topics.items():
            if partitions:
                cluster.state.create_topic(topic, partitions, scenario.replication)
        return cluster

    # ── the course of events ─────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Let everything happen, then look at what is left.

        Raises:
            Violation: a promise was broken.
        """
        self.trace("scenario", self.scenario)
        self._set_events()
        self.wake()
        while not self._is_over:
            if not self.clock.step():
                raise Violation("nothing happens any more, and records have no outcome")
            if self.clock.events % _EXAMINE_EVERY == 0:
                evidence.examine_memory(self)
            if self.clock.events > MAX_EVENTS:
                raise Violation(f"more than {MAX_EVENTS} events")
        evidence.examine(self)

    def _set_events(self) -> None:
        scenario, rng, clock = self.scenario, self._rng, self.clock
        end = scenario.duration
        time = 0.0
        gap = end / scenario.calls
        for _ in range(30 if scenario.theme == "cold" else 0):
            clock.after(0.0, self.calls.submit)
        while time < end:
            time += rng.expovariate(1 / gap)
            clock.after(time, self._make_calls)
        if scenario.faults:
            time = 0.0
            while (time := time + rng.expovariate(1 / scenario.fault_gap)) < end:
                clock.after(time, self.faults.strike)
        close_at = end * rng.random() if scenario.ending == "early close" else end + gap
        clock.after(close_at, self._end)

    def _make_calls(self) -> None:
        drawn = self._rng.random()
        calls = self.calls
        if self.accumulator.closed_error is not None and drawn > 0.1:
            return
        if drawn < 0.9:
            calls.submit()
        elif drawn < 0.93:
            for _ in range(8):
                calls.submit()
        elif drawn < 0.97:
            calls.cancel_one()
        elif drawn < 0.98:
            calls.flush()
        elif drawn < 0.985:
            calls.cancel_flush()
        elif drawn < 0.995:
            calls.look_up()
        else:
            calls.abandon_lookup()

    def _end(self) -> None:
        scenario = self.scenario
        self.trace("end", scenario.ending)
        self._ended_at = self.clock.now
        if scenario.ending == "lapse":
            self._lapse()
            return
        if scenario.is_patient or self._rng.random() < 0.5:
            self.faults.heal()
            if not scenario.is_patient and scenario.ending == "flush":
                self._ended_at += evidence.recovery_time(self)
                self.clock.at(self._ended_at, self._probe)
                return
        if scenario.is_patient and scenario.ending == "flush":
            self._close_when_served(self.clock.now + evidence.recovery_time(self))
        else:
            self._close()

    def _close_when_served(self, limit: float) -> None:
        """With all well and no new calls, those that wait must get their turn; closing would only refuse them."""
        waiting = [call for calls in self.calls.waiting.values() for call in calls]
        if waiting and self.clock.now > limit:
            raise Violation(f"calls wait still, though nothing is in their way: {waiting[:5]}")
        if waiting:
            self.clock.after(0.2, self._close_when_served, limit)
        else:
            self._ended_at = self.clock.now
            self._close()

    def _lapse(self) -> None:
        """Records are sent for the first time shortly before they are too old, and get lost."""
        config = self.scenario.config
        self.faults.heal()
        self.faults.lapse(
            (config.delivery_timeout_ms - config.request_timeout_ms / 2) / 1000, config.request_timeout_ms / 1000
        )
        self.calls.probe()
        self._ended_at += 2 * config.delivery_timeout_ms / 1000 + evidence.recovery_time(self)
        self.clock.at(self._ended_at, self._probe)

    def _probe(self) -> None:
        self.trace("probe")
        self.probes = self.calls.probe()
        self._close_after_probes(self.clock.now + 10)

    def _close_after_probes(self, limit: float) -> None:
        if self.clock.now < limit and any(call.done_at is None for call in self.probes):
            self.clock.after(0.2, self._close_after_probes, limit)
        else:
            self._ended_at = self.clock.now
            self._close()

    def _close(self) -> None:
        scenario = self.scenario
        if scenario.ending in ("flush", "lapse"):
            self.calls.flush()
        elif scenario.ending == "abort":
            self.sender.abort(ProducerClosedError("closed at once"), self.clock.now)
        if scenario.ending != "abort":
            self.sender.begin_close(self.clock.now)
        self.wake()

    # ── the shell ────────────────────────────────────────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        """Have the core polled in the next pass of the loop, which comes a little late."""
        self.accumulator.needs_wake = False
        if not self._is_poll_set:
            self._is_poll_set = True
            lateness = self.scenario.poll_lateness
            self.clock.after(self._rng.random() * lateness if lateness else 0.0, self._poll)

    def _poll(self) -> None:
        self._is_poll_set = False
        self._empty_polls = 0
        self._poll_now()

    def _on_timer(self, timer: int) -> None:
        if timer != self._timer or self._is_poll_set:
            return
        effects, woken = self._poll_now()
        self._empty_polls = 0 if effects or woken else self._empty_polls + 1
        if self._empty_polls > MAX_EMPTY_POLLS:
            raise Violation(f"{self._empty_polls} polls in a row that were asked for brought nothing")

    def _poll_now(self) -> tuple[int, int]:
        now = self.clock.now
        effects = self.sender.poll(now)
        for effect in effects:
            self._act(effect)
        woken = self.accumulator.take_woken()
        if woken:
            self.calls.wake(woken)
        if not self._is_poll_set and self._rng.random() < 0.1:
            again = self.sender.poll(now)
            if again:
                raise Violation(f"the second poll at the same time brought {again}")
        evidence.examine_line(self)
        evidence.examine_leaders(self)
        self._set_timer(now)
        self._is_over = self._is_finished()
        return len(effects), len(woken)

    def _set_timer(self, now: float) -> None:
        self._timer += 1
        due = self.sender.deadline(now)
        if due is None:
            return
        if due <= now and not self._is_poll_set:
            raise Violation(f"the deadline after a poll is {now - due:.6f} s in the past")
        self.clock.at(due + self._rng.random() * self.scenario.poll_lateness, self._on_timer, self._timer)

    def _act(self, effect: Effect) -> None:
        self.trace("effect", effect)
        match effect:
            case Send():
                self.network.send(effect)
            case Completed():
                for batch in effect.batches:
                    self._complete(batch)
            case Connect():
                self.network.connect(effect)
            case Disconnect():
                self.network.disconnect(effect)
            case _:
                assert_never(effect)

    def _complete(self, batch: ProducerBatch) -> None:
        if batch.error is not None and batch.charged == 0 and self.network.is_on_wire(batch):
            raise Violation(f"the memory of {batch} is free while its bytes are on the wire")
        self.calls.complete(batch)

    def _is_finished(self) -> bool:
        if self.accumulator.closed_error is None:
            return False
        limit = self.scenario.config.delivery_timeout_ms / 1000 + self.scenario.config.max_block_ms / 1000
        if self.scenario.is_patient:
            limit = evidence.recovery_time(self)
        if not self.sender.is_drained:
            if self.clock.now > self._ended_at + limit + 1:
                open_calls = list(self.calls.open)[:5]
                raise Violation(f"not drained {self.clock.now - self._ended_at:.1f} s after close: {open_calls}")
            return False
        if any(self.calls.waiting.values()):
            return False
        # The shell ends here. What is on the wire still keeps memory until it is answered or given up.
        return not self.network.on_wire() or self.clock.now > self._ended_at + limit + 60

"""One history from its first poll to its last: core, brokers, network, calls and faults together."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final, Protocol

from aioproducer.errors import ProducerClosedError
from aioproducer.testing._broker import ClusterCore
from aioproducer.testing._broker.state import Options
from tests.simulation import evidence
from tests.simulation.calls import Call, Calls, Violation
from tests.simulation.clock import Clock
from tests.simulation.faults import Faults
from tests.simulation.party import Party
from tests.simulation.presets import put_at_epoch
from tests.simulation.scenario import Scenario, draw
from tests.simulation.trace import Trace
from tests.simulation.transactional import NotingGroups

if TYPE_CHECKING:
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.sender import Sender
    from tests.simulation.network import Network
    from tests.simulation.transactional import Transactional
    from tests.simulation.transactor import Transactor

MAX_EVENTS: Final = 30_000
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
    history = History(scenario, bug=bug, is_traced=is_traced)
    result = Result(scenario.seed)
    try:
        history.run()
    except Exception as error:
        result.violation = f"{type(error).__name__}: {error}"
        if not isinstance(error, Violation):
            result.violation += f" ({_where(error)})"
    result.events = history.clock.events
    calls = [call for party in history.parties for call in party.calls.calls if call.accepted_at is not None]
    result.records = len(calls)
    result.acknowledged = sum(call.done_at is not None and call.error is None for call in calls)
    result.lines = history.trace.lines
    return result


def _where(error: BaseException) -> str:
    place = error.__traceback__
    assert place is not None
    while place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}"


class History:
    """Everything of one history.

    Attributes:
        groups: the offsets that were committed.
        parties: the producers: one, unless others with the same transactional id come.
        probes: calls made when all was well again.
        is_probed: all was well again, and there was a transaction then.
    """

    def __init__(self, scenario: Scenario, *, bug: Bug | None = None, is_traced: bool = False) -> None:
        self.scenario = scenario
        self.clock = Clock()
        self.trace = Trace(self.clock, is_on=is_traced)
        seed = scenario.seed
        self._rng = Random(seed * 4 + 1)
        self.groups = NotingGroups()
        self.cluster = self._cluster(Random(seed * 4 + 2))
        self.cluster.poll(self.clock.now)
        self._core_rng = Random(seed * 4 + 3)
        self._bug = bug
        self.parties: list[Party] = []
        self._add_party()
        networks = [self.parties[0].network]
        self.faults = Faults(scenario, self.clock, self.cluster, networks, self._rng, self.trace)
        self._ended_at = float("inf")
        self.probes: list[Call] = []
        self.is_probed = False

    @property
    def _last(self) -> Party:
        """The producer that came last: with transactions the only one that has not been fenced."""
        return self.parties[-1]

    @property
    def accumulator(self) -> Accumulator:
        """That of the last producer, as all of these."""
        return self._last.accumulator

    @property
    def sender(self) -> Sender:
        return self._last.sender

    @property
    def network(self) -> Network:
        return self._last.network

    @property
    def calls(self) -> Calls:
        return self._last.calls

    @property
    def transactor(self) -> Transactor | None:
        return self._last.transactor

    def _add_party(self) -> None:
        party = Party(
            self.scenario, self.clock, self.cluster, self._rng, self._core_rng, self.trace, 100_000 * len(self.parties)
        )
        if self._bug is not None:
            self._bug.plant(party.sender, party.accumulator)
        party.set_finish(self._is_finished)
        self.parties.append(party)

    def _come_rival(self) -> None:
        """Another producer with the same transactional id starts; the others do not know."""
        if any(party.accumulator.closed_error is not None for party in self.parties):
            return
        self.trace("RIVAL", len(self.parties))
        self._add_party()
        self.network.inits = self.parties[0].network.inits
        self.faults.networks.append(self.network)
        self._last.wake()
        if self.scenario.faults and self._rng.random() < 0.7:
            self.faults.lose_end()

    def _cluster(self, rng: Random) -> ClusterCore:
        scenario = self.scenario
        transactional = scenario.transactional
        options = Options(
            transaction_version=2 if transactional is None else transactional.version,
            marker_delay=0.0 if transactional is None else transactional.marker_delay,
            partitions=1,
            replication_factor=scenario.replication,
            topic_config=scenario.topic_settings,
            max_versions=scenario.max_versions,
        )
        cluster = ClusterCore(scenario.brokers, rng=rng, options=options)
        cluster.state.groups = self.groups
        for node in cluster.state.nodes.values():
            node.host, node.port = f"b{node.id}", 9092
        for topic, partitions in scenario.topics.items():
            if partitions:
                cluster.state.create_topic(topic, partitions, scenario.replication)
        if transactional is not None and transactional.first_epoch >= 0:
            put_at_epoch(cluster, transactional.first_epoch)
        return cluster

    # ── the course of events ─────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Let everything happen, then look at what is left.

        Raises:
            Violation: a promise was broken.
        """
        self.trace("scenario", self.scenario)
        self._set_events()
        self._last.wake()
        while not all(party.is_over for party in self.parties):
            if not self.clock.step():
                raise Violation("nothing happens any more, and records have no outcome")
            if self.clock.events % _EXAMINE_EVERY == 0:
                for party in self.parties:
                    evidence.examine_memory(party)
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
        if scenario.transactional is not None:
            self._set_transactions(scenario.transactional, end)
        close_at = end * rng.random() if scenario.ending == "early close" else end + gap
        clock.after(close_at, self._end)

    def _set_transactions(self, drawn: Transactional, end: float) -> None:
        time = 0.0
        while time < end:
            self.clock.after(time, self._step)
            time += self._rng.expovariate(1 / drawn.gap)
        for at in drawn.rivals:
            self.clock.after(at, self._come_rival)

    def _step(self) -> None:
        for party in self.parties:
            assert party.transactor is not None
            if party.accumulator.closed_error is None:
                party.transactor.step()

    def _make_calls(self) -> None:
        drawn = self._rng.random()
        party = self._last if len(self.parties) == 1 else self._rng.choice(self.parties)
        calls = party.calls
        if party.accumulator.closed_error is not None and drawn > 0.1:
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
        transactor = self.transactor
        if transactor is not None:
            transactor.is_finishing = True
            transactor.step()
        is_idle = transactor is None or transactor.is_idle
        if (waiting or not is_idle) and self.clock.now > limit:
            raise Violation(f"calls wait still, though nothing is in their way: {waiting[:5] or 'a transaction ends'}")
        if waiting or not is_idle:
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
        if self.transactor is None:
            self.probes = self.calls.probe()
        else:
            self.is_probed = True
            self.transactor.probe(self._probe_within)
        self._close_after_probes(self.clock.now + 10)

    def _probe_within(self) -> None:
        self.probes = self.calls.probe()

    def _close_after_probes(self, limit: float) -> None:
        transactor = self.transactor
        if transactor is not None:
            transactor.step()
        is_probed = transactor is None or transactor.is_probed
        if self.clock.now < limit and (not is_probed or any(call.done_at is None for call in self.probes)):
            self.clock.after(0.2, self._close_after_probes, limit)
        else:
            self._ended_at = self.clock.now
            self._close()

    def _close(self) -> None:
        for party in self.parties:
            self._close_party(party)

    def _close_party(self, party: Party) -> None:
        scenario = self.scenario
        if party.transactor is not None:
            party.transactor.is_closed = True
        if scenario.ending in ("flush", "lapse"):
            party.calls.flush()
        elif scenario.ending == "abort":
            party.sender.abort(ProducerClosedError("closed at once"), self.clock.now)
        if scenario.ending != "abort":
            party.sender.begin_close(self.clock.now)
        party.wake()

    def _is_finished(self, party: Party) -> bool:
        if party.accumulator.closed_error is None:
            return False
        limit = self.scenario.config.delivery_timeout_ms / 1000 + self.scenario.config.max_block_ms / 1000
        if self.scenario.is_patient:
            limit = evidence.recovery_time(self)
        if not party.sender.is_drained:
            if self.clock.now > self._ended_at + limit + 1:
                open_calls = list(party.calls.open)[:5]
                raise Violation(f"not drained {self.clock.now - self._ended_at:.1f} s after close: {open_calls}")
            return False
        if any(party.calls.waiting.values()):
            return False
        # The shell ends here. What is on the wire still keeps memory until it is answered or given up.
        return not party.network.on_wire() or self.clock.now > self._ended_at + limit + 60

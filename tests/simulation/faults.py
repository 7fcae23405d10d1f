"""What goes wrong: one method for each kind of fault that a scenario may name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aioproducer._wire.api_keys import ApiKey
from aioproducer.testing._broker import Fault
from aioproducer.testing._broker.faults import Effect
from tests.simulation.transactional import APIS, GROUPS, ID

if TYPE_CHECKING:
    from random import Random

    from aioproducer.testing._broker import ClusterCore
    from aioproducer.testing._broker.state import Topic
    from tests.simulation.clock import Clock
    from tests.simulation.network import Network
    from tests.simulation.scenario import Scenario
    from tests.simulation.trace import Trace

REFUSALS = (2, 3, 6, 7, 14, 19, 20, 56, 74, 75, 89, 100, 103)
FAILURES = (-1, 29, 32, 42, 44, 87, 10, 18)
GAPS = (45, 59)
NO_COORDINATION = (14, 15, 16, 51)
TRANSACTION_FAILURES = (
    (ApiKey.PRODUCE, 120),
    (ApiKey.PRODUCE, 47),
    (ApiKey.TXN_OFFSET_COMMIT, 30),
    (ApiKey.TXN_OFFSET_COMMIT, 25),
    (ApiKey.TXN_OFFSET_COMMIT, 120),
    (ApiKey.ADD_PARTITIONS_TO_TXN, 29),
    (ApiKey.ADD_PARTITIONS_TO_TXN, 120),
    (ApiKey.ADD_OFFSETS_TO_TXN, 30),
    (ApiKey.END_TXN, 120),
    (ApiKey.END_TXN, 53),
)


class Faults:
    """Makes things go wrong, and right again.

    Attributes:
        graveyard: topics that were deleted; their logs are evidence.
        networks: of the producers.
    """

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        cluster: ClusterCore,
        networks: list[Network],
        rng: Random,
        trace: Trace,
    ) -> None:
        self.graveyard: list[Topic] = []
        self._scenario = scenario
        self._clock = clock
        self._cluster = cluster
        self.networks = networks
        self._rng = rng
        self._trace = trace
        self._is_healed = False

    @property
    def _network(self) -> Network:
        """That of one producer."""
        return self.networks[0] if len(self.networks) == 1 else self._rng.choice(self.networks)

    def strike(self) -> None:
        """Let one of the scenario's faults happen, unless all was healed."""
        if self._is_healed:
            return
        # They are worst in company.
        for _ in range(1 if self._scenario.is_sparse else self._rng.choice((1, 1, 2, 4))):
            kind = self._rng.choice(self._scenario.faults)
            self._trace("FAULT", kind)
            getattr(self, kind)()
        self._network.poll_cluster()

    def heal(self) -> None:
        """Repair everything."""
        self._trace("heal")
        self._is_healed = True
        for node in self._cluster.state.nodes.values():
            if not node.is_alive:
                self._cluster.state.start_node(node.id)
        for partition in self._cluster.state.partitions():
            partition.release_replication()
            partition.isr[:] = list(dict.fromkeys([*partition.isr, *partition.replicas]))
        self._cluster.faults.clear()
        for network in self.networks:
            network.stuck_until.clear()
            network.slowness = 1.0
            network.stale_until = 0.0
            network.swallowing_until = 0.0
        self._network.poll_cluster()

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────

    def kill_connection(self) -> None:
        network = self._network
        connections = network.open_connections()
        if not connections:
            return
        connection = self._rng.choice(connections)
        drawn = self._rng.random()
        if drawn < 0.3:
            network.break_off(connection, "reset")
        elif drawn < 0.6:
            network.lose(connection, "reset by peer")
        else:  # the broker hears nothing more, and the client learns of it later, or by a timeout
            network.cut_off(connection)
            if drawn < 0.9:
                self._clock.after(self._rng.uniform(0, 0.1), network.lose, connection, "reset at last")

    def black_hole(self) -> None:
        self._network.swallowing_until = self._clock.now + self._rng.choice((0.02, 0.1, 1.0))

    def slow_network(self) -> None:
        self._network.slowness = self._rng.choice((1.0, 5.0, 30.0))

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def lose_response(self) -> None:
        self._set(Fault(Effect.LOSE_RESPONSE))

    def close_at_request(self) -> None:
        self._set(Fault(Effect.CLOSE))

    def delay(self) -> None:
        self._set(Fault(Effect.DELAY, amount=self._rng.choice((0.01, 0.1, 1.0))))

    def throttle(self) -> None:
        self._set(Fault(Effect.THROTTLE, amount=self._rng.choice((5, 50, 500))))

    def refuse(self) -> None:
        self._set(Fault(Effect.FAIL, code=self._rng.choice(REFUSALS), api=ApiKey.PRODUCE))

    def refuse_long(self) -> None:
        fault = Fault(Effect.FAIL, code=19, api=ApiKey.PRODUCE)
        topic, index = self._partition()
        if topic is not None:
            fault.topic, fault.partition = topic, index
        self._trace("fault set", fault)
        self._cluster.faults.add(fault)
        self._clock.after(self._rng.choice((0.1, 0.5, 2.0)), self._cluster.faults.remove, fault)

    def fail_batch(self) -> None:
        self._set(Fault(Effect.FAIL, code=self._rng.choice(FAILURES), api=ApiKey.PRODUCE))

    def doubt_then_fail(self) -> None:
        """A batch is written, and its leader does not say so; the next answer about its partition is a failure."""
        topic, index = self._partition()
        for code in (self._rng.choice((7, 20)), self._rng.choice((45, 59, 87))):
            fault = Fault(Effect.FAIL, code=code, api=ApiKey.PRODUCE, topic=topic, partition=index, remaining=1)
            self._cluster.faults.add(fault)

    def spurious_gap(self) -> None:
        self._set(Fault(Effect.FAIL, code=self._rng.choice(GAPS), api=ApiKey.PRODUCE))

    def refuse_metadata(self) -> None:
        self._set(Fault(Effect.FAIL, code=self._rng.choice((3, 5)), api=ApiKey.METADATA))

    def fail_topic(self) -> None:
        self._set(Fault(Effect.FAIL, code=self._rng.choice((17, 29)), api=ApiKey.METADATA))

    def refuse_init(self) -> None:
        self._set(Fault(Effect.FAIL, code=self._rng.choice((7, 14, 15, 51, 89)), api=ApiKey.INIT_PRODUCER_ID))

    def fail_init(self) -> None:
        self._set(Fault(Effect.FAIL, code=31, api=ApiKey.INIT_PRODUCER_ID))

    def _set(self, fault: Fault) -> None:
        fault.remaining = 1 if self._scenario.is_sparse else self._rng.choice((1, 1, 2, 5))
        if fault.api is None and self._rng.random() < 0.7:
            fault.api = ApiKey.PRODUCE
        if self._rng.random() < 0.3:
            fault.node_id = int(self._rng.random() * self._scenario.brokers)
        self._trace("fault set", fault)
        self._cluster.faults.add(fault)

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────────

    def lose_coordinators_response(self) -> None:
        self._set_for_coordinator(Fault(Effect.LOSE_RESPONSE))

    def lose_end(self) -> None:
        """The answer to an EndTxn gets lost, if one comes soon: those who come to replace a producer have a reason."""
        fault = Fault(Effect.LOSE_RESPONSE, api=ApiKey.END_TXN, remaining=1)
        self._cluster.faults.add(fault)
        self._clock.after(0.3, self._cluster.faults.remove, fault)

    def close_at_coordinators_request(self) -> None:
        self._set_for_coordinator(Fault(Effect.CLOSE))

    def delay_coordinator(self) -> None:
        self._set_for_coordinator(Fault(Effect.DELAY, amount=self._rng.choice((0.01, 0.1, 1.0))))

    def refuse_coordination(self) -> None:
        self._set_for_coordinator(Fault(Effect.FAIL, code=self._rng.choice(NO_COORDINATION)))

    def fail_transaction(self) -> None:
        api, code = self._rng.choice(TRANSACTION_FAILURES)
        self._set(Fault(Effect.FAIL, code=code, api=api))

    def stop_coordinator(self) -> None:
        node = self._cluster.state.coordinator_of(self._rng.choice((ID, *GROUPS)))
        if node is not None:
            self._stop(node.id)
            self._clock.after(self._rng.choice((0.02, 0.3, 2.0)), self._start_broker, node.id)

    def upgrade(self) -> None:
        """The cluster agrees on transaction.version 2, as each new connection hears."""
        state = self._cluster.state
        if not self._scenario.max_versions:
            state.options = replace(state.options, transaction_version=2)

    def _set_for_coordinator(self, fault: Fault) -> None:
        fault.api = self._rng.choice(APIS)
        self._set(fault)

    # ── brokers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def pause_broker(self) -> None:
        broker_id = int(self._rng.random() * self._scenario.brokers)
        self._network.stuck_until[broker_id] = self._clock.now + self._rng.choice((0.05, 0.3, 1.5))

    def stop_broker(self) -> None:
        alive = [node.id for node in self._cluster.state.alive_nodes()]
        if not alive:
            return
        broker_id = self._rng.choice(alive)
        self._stop(broker_id)
        self._clock.after(self._rng.choice((0.02, 0.3, 2.0)), self._start_broker, broker_id)

    def lapse(self, seconds: float, silence: float) -> None:
        """Stop all brokers for so long; back again, they hear nothing for a while."""
        for node in self._cluster.state.alive_nodes():
            self._stop(node.id)
            self._clock.after(seconds, self._start_broker, node.id)
        self._network.swallowing_until = self._clock.now + seconds + silence
        self._network.poll_cluster()

    def _stop(self, broker_id: int) -> None:
        is_silent = self._rng.random() < 0.3
        for connection in [each for network in self.networks for each in network.open_connections()]:
            if connection.broker_id == broker_id:
                connection.network.cut_off(connection)
                if not is_silent:
                    later = self._rng.uniform(0, 0.01)
                    self._clock.after(later, connection.network.lose, connection, "broker stopped")
        self._cluster.state.stop_node(broker_id)

    def _start_broker(self, broker_id: int) -> None:
        if not self._cluster.state.nodes[broker_id].is_alive:
            self._trace("broker starts", broker_id)
            self._cluster.state.start_node(broker_id)
            self._network.poll_cluster()

    def stale_metadata(self) -> None:
        self._network.stale_until = self._clock.now + self._rng.choice((0.1, 1.0))

    # ── partitions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def move_leader(self) -> None:
        topic, index = self._partition()
        alive = self._cluster.state.alive_nodes()
        if topic is not None and alive:
            self._cluster.state.move_leader(topic, index, self._rng.choice(alive).id)

    def hold_replication(self) -> None:
        topic, index = self._partition()
        partition = None if topic is None else self._cluster.state.partition(topic, index)
        if partition is None:
            return
        partition.replication_held = True
        self._clock.after(self._rng.choice((0.01, 0.1, 1.0)), self._release, partition)

    def _release(self, partition: object) -> None:
        getattr(partition, "release_replication")()  # noqa: B009
        self._network.poll_cluster()

    def shrink_isr(self) -> None:
        topic, index = self._partition()
        partition = None if topic is None else self._cluster.state.partition(topic, index)
        if partition is not None and partition.leader >= 0 and partition.config.min_insync_replicas > 1:
            partition.isr[:] = [partition.leader]

    def forget_producers(self) -> None:
        topic, index = self._partition()
        partition = None if topic is None else self._cluster.state.partition(topic, index)
        if partition is not None:
            partition.producers.forget()

    def recreate_topic(self) -> None:
        topic, _ = self._partition()
        if topic is None:
            return
        old = self._cluster.state.topics[topic]
        self._cluster.state.delete_topic(topic)
        self.graveyard.append(old)
        self._clock.after(self._rng.choice((0.0, 0.05, 0.5)), self._create, topic, len(old.partitions))

    def _create(self, topic: str, partitions: int) -> None:
        if topic in self._cluster.state.topics:  # auto-created, with one partition
            if partitions > 1:
                self._cluster.state.add_partitions(self._cluster.state.topics[topic], partitions)
            return
        self._cluster.state.create_topic(topic, partitions, self._scenario.replication, self._scenario.topic_settings)

    def add_partitions(self) -> None:
        topic, _ = self._partition()
        if topic is not None and self._cluster.state.alive_nodes():
            known = self._cluster.state.topics[topic]
            self._cluster.state.add_partitions(known, len(known.partitions) + 1)

    def _partition(self) -> tuple[str | None, int]:
        topics = list(self._cluster.state.topics.values())
        if not topics:
            return None, 0
        topic = self._rng.choice(topics)
        return topic.name, int(self._rng.random() * len(topic.partitions))

"""The cluster: its nodes, topics and leaders, as a controller keeps them."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from aioproducer._types import check_topic
from aioproducer.errors import ErrorCode, InvalidTopicError
from aioproducer.testing._broker.acls import CLUSTER_NAME, Acls
from aioproducer.testing._broker.configs import TopicConfig, parse
from aioproducer.testing._broker.faults import Faults
from aioproducer.testing._broker.groups import Groups
from aioproducer.testing._broker.partition import NO_LEADER, Partition
from aioproducer.testing._broker.requests import Refused
from aioproducer.testing._broker.tokens import TokenValidator, validate_unsecured
from aioproducer.testing._broker.transactions import Transactions
from aioproducer.testing._broker.users import Users

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aioproducer._types import TopicPartition
    from aioproducer.testing._broker.acls import Operation, Resource
    from aioproducer.testing._broker.requests import Request

INTERNAL_TOPICS: Final = frozenset({"__consumer_offsets", "__transaction_state"})


class Random(Protocol):
    """The randomness that is passed in: a random.Random will do."""

    def getrandbits(self, k: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Options:
    """How a cluster behaves.

    Attributes:
        partitions: of a topic that is created without saying how many.
        replication_factor: likewise.
        auto_create_topics: asking for the metadata of a topic creates it.
        topic_config: settings that every topic begins with, by Kafka's names.
        transaction_version: the finalized feature transaction.version: 2 is KIP-890's, 1 and 0 what was before;
            brokers without the feature at all are imitated by -1.
        max_versions: highest version spoken per api key, to imitate an old broker; -1 leaves the API out.
        marker_delay: seconds between the answer to EndTxn and the markers in the logs.
        max_transaction_timeout_ms: the largest transaction timeout that a producer may ask for.
        producer_id_expiration_ms: how long a partition remembers a producer that writes nothing to it.
        wall_epoch_ms: the wall clock, milliseconds since 1970, at now = 0.
        sasl_mechanisms: the SASL mechanisms that are enabled; none: clients do not authenticate with SASL.
        connections_max_reauth_ms: how long a session is good before it must be renewed; 0 for ever.
        connection_failed_authentication_delay_ms: how long a client that fails waits for the answer.
        scram_iterations: of SCRAM's keys.
        deny_by_default: what no ACL allows is denied.
    """

    partitions: int = 1
    replication_factor: int = 1
    auto_create_topics: bool = True
    topic_config: Mapping[str, str] = field(default_factory=lambda: dict[str, str]())
    transaction_version: int = 2
    max_versions: Mapping[int, int] = field(default_factory=lambda: dict[int, int]())
    marker_delay: float = 0.0
    max_transaction_timeout_ms: int = 900_000
    producer_id_expiration_ms: int = 86_400_000
    wall_epoch_ms: int = 0
    sasl_mechanisms: tuple[str, ...] = ()
    connections_max_reauth_ms: int = 0
    connection_failed_authentication_delay_ms: int = 100
    scram_iterations: int = 4_096
    deny_by_default: bool = False


@dataclass(slots=True)
class Node:
    """One broker and where it listens."""

    id: int
    host: str = ""
    port: int = 0
    rack: str | None = None
    is_alive: bool = True


@dataclass(slots=True)
class Topic:
    """A topic; deleted and made again it is another one, with another id."""

    name: str
    id: uuid.UUID
    settings: dict[str, str]
    config: TopicConfig
    partitions: list[Partition]


class ClusterState:
    """Everything that the brokers share, as if the controller's log reached all of them at once."""

    def __init__(self, brokers: int, options: Options, rng: Random) -> None:
        self.options = options
        self.versions: Mapping[int, tuple[int, int]] = {}
        """Lowest and highest version spoken by api key; set by the core, which knows the APIs."""
        self.nodes: dict[int, Node] = {node_id: Node(node_id) for node_id in range(brokers)}
        self.topics: dict[str, Topic] = {}
        self.topics_by_id: dict[uuid.UUID, Topic] = {}
        self.groups: Groups = Groups()
        self.transactions: Transactions = Transactions(self)
        self.faults: Faults = Faults()
        self.now: float = 0.0
        self.users: Users = Users(options.scram_iterations, self.random_bytes)
        self.validate_token: TokenValidator = validate_unsecured
        self.acls: Acls = Acls(deny_by_default=options.deny_by_default)
        self._rng = rng
        self._next_producer_id = 0
        self.cluster_id: str = base64.urlsafe_b64encode(rng.getrandbits(128).to_bytes(16, "big"))[:22].decode()

    def random_bytes(self, count: int) -> bytes:
        """So many bytes of the randomness that was passed in."""
        return self._rng.getrandbits(8 * count).to_bytes(count, "big")

    def allows(self, request: Request, operation: Operation, resource: Resource, name: str = CLUSTER_NAME) -> bool:
        """Whether whoever asks may do that."""
        return self.acls.is_open or self.acls.allows(request.principal, operation, resource, name)

    # ── time ──

    @property
    def wall_ms(self) -> int:
        """The brokers' wall clock, milliseconds since 1970."""
        return self.wall_ms_at(self.now)

    def wall_ms_at(self, time: float) -> int:
        """What the wall clock showed at a time, monotonic seconds."""
        return self.options.wall_epoch_ms + int(time * 1000)

    @property
    def marker_delay(self) -> float:
        return self.options.marker_delay

    @property
    def max_transaction_timeout_ms(self) -> int:
        return self.options.max_transaction_timeout_ms

    # ── nodes ──

    def alive_nodes(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_alive]

    @property
    def controller_id(self) -> int:
        return next((node.id for node in self.nodes.values() if node.is_alive), -1)

    def coordinator_of(self, key: str) -> Node | None:
        """The broker that coordinates a group or a transactional id: the same one while it lives, then the next."""
        nodes = list(self.nodes.values())
        first = _stable_hash(key) % len(nodes)
        return next((node for node in nodes[first:] + nodes[:first] if node.is_alive), None)

    def check_coordinator(self, key: str, node_id: int) -> None:
        """Refuse with NOT_COORDINATOR what another broker coordinates."""
        node = self.coordinator_of(key)
        if node is None or node.id != node_id:
            raise Refused(ErrorCode.NOT_COORDINATOR)

    def stop_node(self, node_id: int) -> None:
        """A broker dies: it leaves every ISR that has another member, and what it led is led from the ISR."""
        self.nodes[node_id].is_alive = False
        for partition in self.partitions():
            if node_id in partition.isr and len(partition.isr) > 1:
                partition.isr.remove(node_id)
            if partition.leader == node_id:
                partition.elect(self._first_alive(partition.isr))

    def start_node(self, node_id: int) -> None:
        """A broker is back: it joins the ISR of its partitions, and leads those that have no leader."""
        self.nodes[node_id].is_alive = True
        for partition in self.partitions():
            if node_id not in partition.replicas:
                continue
            if node_id not in partition.isr:
                partition.isr.append(node_id)
            if partition.leader == NO_LEADER:
                partition.elect(self._first_alive(partition.isr))
        self.transactions.resume()

    def _first_alive(self, node_ids: list[int]) -> int:
        return next((node_id for node_id in node_ids if self.nodes[node_id].is_alive), NO_LEADER)

    # ── topics ──

    def partitions(self) -> Iterator[Partition]:
        """Every partition of every topic."""
        for topic in self.topics.values():
            yield from topic.partitions

    def partition(self, topic: str, index: int) -> Partition | None:
        """A partition, or None when there is no such topic or index."""
        found = self.topics.get(topic)
        if found is None or not 0 <= index < len(found.partitions):
            return None
        return found.partitions[index]

    def create_topic(
        self,
        name: str,
        partitions: int = -1,
        replication_factor: int = -1,
        settings: Mapping[str, str] | None = None,
        assignment: Mapping[int, list[int]] | None = None,
    ) -> Topic:
        """Create a topic; -1 means the cluster's default.

        Raises:
            Refused: INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR,
                INVALID_REPLICA_ASSIGNMENT or INVALID_CONFIG.
        """
        topic = self.plan_topic(name, partitions, replication_factor, settings, assignment)
        self.topics[name] = self.topics_by_id[topic.id] = topic
        for partition in topic.partitions:
            partition.elect(self._first_alive(partition.isr))
            partition.leader_epoch = 0
        return topic

    def plan_topic(
        self,
        name: str,
        partitions: int,
        replication_factor: int,
        settings: Mapping[str, str] | None,
        assignment: Mapping[int, list[int]] | None = None,
    ) -> Topic:
        """The topic that `create_topic` would create: all its checks, nothing changed."""
        self._check_new_name(name)
        replicas = self._replicas(partitions, replication_factor, assignment)
        own = dict(settings or {})
        config = parse({**self.options.topic_config, **own})
        made = [self._partition(name, index, list(nodes), config) for index, nodes in enumerate(replicas)]
        return Topic(name, uuid.UUID(int=self._rng.getrandbits(128), version=4), own, config, made)

    def _partition(self, topic: str, index: int, replicas: list[int], config: TopicConfig) -> Partition:
        lifetime_ms = self.options.producer_id_expiration_ms
        return Partition(topic, index, replicas, config, isr=list(replicas), producer_id_expiration_ms=lifetime_ms)

    def add_partitions(self, topic: Topic, count: int) -> None:
        """Grow a topic to `count` partitions."""
        factor = len(topic.partitions[0].replicas)
        for index in range(len(topic.partitions), count):
            nodes = self._spread(index, factor)
            partition = self._partition(topic.name, index, nodes, topic.config)
            partition.elect(self._first_alive(nodes))
            partition.leader_epoch = 0
            topic.partitions.append(partition)

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its records and all that is remembered of its producers.

        Raises:
            Refused: UNKNOWN_TOPIC_OR_PARTITION.
        """
        topic = self.topics.pop(name, None)
        if topic is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"no topic {name}")
        del self.topics_by_id[topic.id]

    def move_leader(self, topic: str, index: int, to: int) -> None:
        """Make another broker the leader; it becomes a replica if it was none. The epoch grows by one."""
        partition = self.partition(topic, index)
        if partition is None:
            raise KeyError((topic, index))
        if to not in partition.replicas:
            partition.replicas.append(to)
        if to not in partition.isr:
            partition.isr.append(to)
        partition.elect(to)

    def check_name(self, name: str) -> None:
        """Refuse a name that Kafka does not allow, with INVALID_TOPIC_EXCEPTION."""
        try:
            check_topic(name)
        except (InvalidTopicError, TypeError) as error:
            raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, str(error)) from error

    def _check_new_name(self, name: str) -> None:
        self.check_name(name)
        if name in self.topics:
            raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")

    def _replicas(
        self, partitions: int, replication_factor: int, assignment: Mapping[int, list[int]] | None
    ) -> list[list[int]]:
        if assignment:
            nodes = [assignment.get(index, []) for index in range(len(assignment))]
            if not all(nodes) or not all(each in self.nodes for one in nodes for each in one):
                raise Refused(
                    ErrorCode.INVALID_REPLICA_ASSIGNMENT, "partitions are missing or name brokers that do not exist"
                )
            return nodes
        count = self.options.partitions if partitions == -1 else partitions
        factor = self.options.replication_factor if replication_factor == -1 else replication_factor
        if count <= 0:
            raise Refused(
                ErrorCode.INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value."
            )
        if not 0 < factor <= len(self.nodes):
            text = f"Unable to replicate the partition {factor} time(s): there are {len(self.nodes)} brokers"
            raise Refused(ErrorCode.INVALID_REPLICATION_FACTOR, text)
        return [self._spread(index, factor) for index in range(count)]

    def _spread(self, index: int, factor: int) -> list[int]:
        ids = list(self.nodes)
        return [ids[(index + i) % len(ids)] for i in range(factor)]

    # ── producers ──

    def new_producer_id(self) -> int:
        """A producer id that no broker of this cluster ever gave."""
        self._next_producer_id += 1
        return self._next_producer_id - 1

    def end_transaction(
        self, tp: TopicPartition, producer_id: int, epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> bool:
        """Write a marker. False when the partition has no leader now; a partition that is gone needs none."""
        partition = self.partition(tp.topic, tp.partition)
        if partition is None:
            return True
        if partition.leader == NO_LEADER:
            return False
        partition.append_marker(
            producer_id, epoch, commit=commit, coordinator_epoch=coordinator_epoch, wall_ms=self.wall_ms
        )
        return True


def _stable_hash(key: str) -> int:
    # Java's String.hashCode, which is what spreads keys over the coordinators' partitions there.
    value = 0
    for char in key:
        value = (31 * value + ord(char)) & 0x7FFFFFFF
    return value

"""What the core asks the shell to do: the answers of `Sender.poll`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from aioproducer._core.cluster.node import InFlight  # noqa: TC001 - a field's class; mypyc's code wants it to be there

if TYPE_CHECKING:
    from uuid import UUID

    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._wire.schema import Message
    from aioproducer.errors import KafkaError


class Connect(NamedTuple):
    """Open a connection to host:port; report on_connected or on_connect_failed.

    Attributes:
        node_id: names the connection in all reports; a bootstrap server has a negative one.
        host: a name or address; names are resolved at each attempt.
        port: the port.
        timeout: seconds from the attempt to the end of the last step of the set-up.
        name: the broker as messages name it.
    """

    node_id: int
    host: str
    port: int
    timeout: float
    name: str = ""


class Reauthenticate(NamedTuple):
    """Authenticate again on an open connection (KIP-368); report on_reauthenticated, or close it with what went wrong.

    Nothing else is to be sent on it until then; what is in flight is answered before.

    Attributes:
        node_id: the connection's.
    """

    node_id: int


class ProducePlan(NamedTuple):
    """A Produce request whose bytes the shell makes.

    Attributes:
        batches: at most one per partition, in the order to encode them; they stay as they are until the outcome is
            reported.
        acks: -1, 0 or 1.
        timeout_ms: how long the broker may wait for replicas.
        transactional_id: of the open transaction, or None.
        topic_ids: for versions that name topics by id (13 and later), the ids of all topics; else empty.
    """

    batches: list[ProducerBatch]
    acks: int
    timeout_ms: int
    transactional_id: str | None
    topic_ids: Mapping[str, UUID]


class Send(NamedTuple):
    """Write one request; exactly one of `message` and `produce` is given.

    Requests of one connection are written in the order of their effects. Report on_written when all bytes are with the
    socket, and on_response if one is expected: the answer that comes next is that of the oldest such request which is
    written, and its correlation id is checked by the connection, once.

    Attributes:
        request: what the core keeps of it; given back with its answer.
    """

    node_id: int
    request: InFlight
    message: Message | None
    produce: ProducePlan | None


class Disconnect(NamedTuple):
    """Close the connection at once, then report its end as usual. The error says why; None: it is idle."""

    node_id: int
    error: KafkaError | None


class Completed(NamedTuple):
    """The outcome of these batches is final, in the order in which it became so."""

    batches: list[ProducerBatch]


Effect: TypeAlias = Connect | Reauthenticate | Send | Disconnect | Completed

"""What can go wrong in an embedded cluster, as verbs.

Every verb takes effect at once: the next request that fits is struck. `broker`, `topic` and `partition` narrow a fault
down; of several that fit, the one that was set first strikes.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol, Self, TypedDict, TypeVar, Unpack

import anyio

from aioproducer._public import public_in
from aioproducer._wire.messages import ApiKey
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.faults import Effect, Fault
from aioproducer.testing._server import NetworkEffect, NetworkFault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from aioproducer.testing._broker.partition import Partition
    from aioproducer.testing._broker.state import Node
    from aioproducer.testing._server import Server

T = TypeVar("T")


class Where(TypedDict, total=False):
    """What a fault is narrowed down to; what is left out, or None, is all of it.

    Attributes:
        topic: works for Produce and Metadata.
        partition: works for Produce.
        broker: the id of the one that gets the request.
    """

    topic: str | None
    partition: int | None
    broker: int | None


class _Counted(Protocol):
    @property
    def hits(self) -> int: ...


@public_in("aioproducer.testing")
class FaultHandle:
    """A fault that has been set. As a context manager it ends with the block.

    Example:
        with cluster.full_disk("orders") as fault:
            producer.submit_nowait("orders", b"value")
            await fault.wait_hit()
    """

    def __init__(
        self,
        fault: _Counted,
        wait_until: Callable[[Callable[[], bool]], Awaitable[None]],
        stop: Callable[[], None],
    ) -> None:
        self._fault = fault
        self._wait_until = wait_until
        self._stop = stop

    @property
    def hits(self) -> int:
        """How often it has struck."""
        return self._fault.hits

    async def wait_hit(self, count: int = 1, *, timeout: float = 5.0) -> None:
        """Wait until it has struck `count` times, in any event loop. Cancel-safe.

        Raises:
            TimeoutError: it has not, within `timeout` seconds.
        """
        with anyio.move_on_after(timeout):
            await self._wait_until(lambda: self.hits >= count)
        if self.hits < count:
            raise TimeoutError(f"the fault has struck {self.hits} of {count} times within {timeout} s")

    def stop(self) -> None:
        """Take it away; does nothing when it is gone already."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class FaultVerbs:
    """The verbs. What they do happens where the cluster lives: in its event loop's thread."""

    _server: Server

    def _do(self, action: Callable[[], T]) -> T:
        """Run an action there."""
        raise NotImplementedError

    async def _wait_until(self, is_so: Callable[[], bool]) -> None:
        """Return once it is so."""
        raise NotImplementedError

    # ── answers ──

    def fail_next(
        self,
        error: ErrorCode | str,
        *,
        times: int | None = 1,
        api: ApiKey = ApiKey.PRODUCE,
        acks: int | None = None,
        **where: Unpack[Where],
    ) -> FaultHandle:
        """Answer the next requests with an error, not carrying them out.

        NOT_ENOUGH_REPLICAS_AFTER_APPEND and REQUEST_TIMED_OUT say that the records may be in the log: so they are
            appended.

        Args:
            error: the code, or its name: "NOT_ENOUGH_REPLICAS".
            times: how many; None: until the fault is stopped. A Produce request counts once for each partition that is
                struck.
            api: which requests.
            acks: only those with these; works for Produce.

        Raises:
            ValueError: no error has that name.
        """
        return self._strike(Effect.FAIL, times, api, where, code=_code(error), acks=acks)

    def lose_response_once(
        self, *, times: int | None = 1, api: ApiKey = ApiKey.PRODUCE, **where: Unpack[Where]
    ) -> FaultHandle:
        """Carry the next request out, then close the connection instead of answering: the client cannot know."""
        return self._strike(Effect.LOSE_RESPONSE, times, api, where)

    def lose_request_once(
        self, *, times: int | None = 1, api: ApiKey = ApiKey.PRODUCE, **where: Unpack[Where]
    ) -> FaultHandle:
        """Close the connection upon the next request, without carrying it out."""
        return self._strike(Effect.CLOSE, times, api, where)

    def delay(
        self, seconds: float, *, times: int | None = None, api: ApiKey | None = None, **where: Unpack[Where]
    ) -> FaultHandle:
        """Answer later, as over a slow network: requests are carried out at once, the answers keep their order."""
        return self._strike(Effect.DELAY, times, api, where, amount=seconds)

    def throttle(
        self,
        throttle_time_ms: int,
        *,
        times: int | None = None,
        api: ApiKey | None = ApiKey.PRODUCE,
        broker: int | None = None,
    ) -> FaultHandle:
        """Tell clients to pause (KIP-219): answers carry a throttle time."""
        return self._strike(Effect.THROTTLE, times, api, {"broker": broker}, amount=throttle_time_ms)

    def not_enough_replicas(
        self,
        topic: str | None = None,
        partition: int | None = None,
        *,
        broker: int | None = None,
        after_append: bool = False,
        times: int | None = None,
    ) -> FaultHandle:
        """Refuse acks=all with NOT_ENOUGH_REPLICAS, or append and answer NOT_ENOUGH_REPLICAS_AFTER_APPEND."""
        error = ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND if after_append else ErrorCode.NOT_ENOUGH_REPLICAS
        return self.fail_next(error, times=times, topic=topic, partition=partition, broker=broker, acks=-1)

    def full_disk(
        self,
        topic: str | None = None,
        partition: int | None = None,
        *,
        broker: int | None = None,
        times: int | None = None,
    ) -> FaultHandle:
        """Refuse every append with KAFKA_STORAGE_ERROR."""
        return self.fail_next(
            ErrorCode.KAFKA_STORAGE_ERROR, times=times, topic=topic, partition=partition, broker=broker
        )

    def refuse_versions_above(self, version: int, *, api: ApiKey = ApiKey.API_VERSIONS) -> None:
        """Speak an API no higher than that from now on, as an older broker; -1 takes it away."""
        self._do(lambda: self._server.core.limit_version(int(api), version))

    # ── connections ──

    def drop_connections(self, *, broker: int | None = None) -> int:
        """Close all open connections; new ones are accepted. Returns how many there were."""
        return self._do(lambda: self._server.drop(broker))

    def black_hole(self, *, broker: int | None = None) -> FaultHandle:
        """Swallow whatever clients send, until the fault is stopped; connections stay open.

        One that has lost something stays silent for good: the client has to give it up. New ones work.
        """
        return self._set_network(NetworkFault(NetworkEffect.SWALLOW, broker))

    def cut_after(self, bytes_count: int, *, broker: int | None = None) -> FaultHandle:
        """Cut a connection, in the middle of an answer if it is so, after that many more bytes have gone to clients."""
        return self._set_network(NetworkFault(NetworkEffect.CUT, broker, bytes_count))

    def read_slowly(self, bytes_per_second: int, *, broker: int | None = None) -> FaultHandle:
        """Read so many bytes a second from each connection, as a broker that cannot keep up, until it is stopped."""
        if bytes_per_second < 1:
            raise ValueError(f"bytes_per_second={bytes_per_second}; black_hole() reads nothing at all")
        return self._set_network(NetworkFault(NetworkEffect.READ_SLOWLY, broker, bytes_per_second))

    # ── state ──

    def move_leader(self, topic: str, partition: int = 0, *, to: int | None = None) -> int:
        """Make another broker the leader of a partition; returns its id.

        What followers don't have yet is lost; see `hold_replication`.

        Args:
            to: the broker; None takes the next one that is alive.

        Raises:
            KeyError: there is no such partition.
            ValueError: there is no such broker, or it is stopped.
        """

        def move() -> int:
            state = self._server.core.state
            found = state.partition(topic, partition)
            if found is None:
                raise KeyError(f"no partition {topic}-{partition}")
            alive = [node.id for node in state.alive_nodes()]
            later = [node_id for node_id in alive if node_id > found.leader]
            leader = to if to is not None else (later or alive or [found.leader])[0]
            if not self._node(leader).is_alive:
                raise ValueError(f"broker {leader} is stopped; of the others, alive are {alive}")
            state.move_leader(topic, partition, leader)
            return leader

        return self._do(move)

    def hold_replication(self, topic: str, partition: int = 0) -> None:
        """Let followers fall behind: acks=all waits and times out, and a new leader lacks what comes from now on."""

        def hold() -> None:
            self._partition(topic, partition).replication_held = True

        self._do(hold)

    def release_replication(self, topic: str, partition: int = 0) -> None:
        """Let followers catch up."""
        self._do(lambda: self._partition(topic, partition).release_replication())

    def forget_producers(self, topic: str, partition: int = 0) -> None:
        """Lose what a partition remembers of its producers, as when their ids expire."""
        self._do(lambda: self._partition(topic, partition).producers.forget())

    def expire_transactional_id(self, transactional_id: str) -> None:
        """Forget a transactional id, as after transactional.id.expiration.ms."""
        self._do(lambda: self._server.core.state.transactions.expire(transactional_id))

    def clear_faults(self) -> None:
        """Take all faults away. Leaders and brokers stay as they are."""

        def clear() -> None:
            self._server.core.faults.clear()
            for fault in list(self._server.network_faults):
                self._server.remove(fault)

        self._do(clear)

    def _node(self, broker: int) -> Node:
        nodes = self._server.core.state.nodes
        if broker not in nodes:
            raise ValueError(f"there is no broker {broker}; the cluster has {', '.join(map(str, nodes))}")
        return nodes[broker]

    def _partition(self, topic: str, partition: int) -> Partition:
        found = self._server.core.state.partition(topic, partition)
        if found is None:
            raise KeyError(f"no partition {topic}-{partition}")
        return found

    def _strike(
        self,
        effect: Effect,
        times: int | None,
        api: ApiKey | None,
        where: Where,
        *,
        code: int = 0,
        amount: float = 0,
        acks: int | None = None,
    ) -> FaultHandle:
        fault = Fault(
            effect,
            code=code,
            amount=amount,
            api=None if api is None else int(api),
            node_id=where.get("broker"),
            topic=where.get("topic"),
            partition=where.get("partition"),
            acks=acks,
            remaining=times,
        )
        faults = self._server.core.faults
        self._do(lambda: faults.add(fault))
        return FaultHandle(fault, self._wait_until, lambda: self._do(lambda: faults.remove(fault)))

    def _set_network(self, fault: NetworkFault) -> FaultHandle:
        self._do(lambda: self._server.network_faults.append(fault))
        return FaultHandle(fault, self._wait_until, lambda: self._do(lambda: self._server.remove(fault)))


def _code(error: ErrorCode | str) -> int:
    if not isinstance(error, str):
        return int(error)
    if error not in ErrorCode.__members__:
        close = get_close_matches(error.upper(), ErrorCode.__members__, n=1)
        raise ValueError(f"no error is called {error!r}" + (f"; is it {close[0]}?" if close else ""))
    return int(ErrorCode[error])

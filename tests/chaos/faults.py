"""What is done to a real Kafka. Each fault begins and ends within its function; afterwards the cluster can heal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio

from aioproducer.testing._proxy import DIRECTIONS

if TYPE_CHECKING:
    from tests.chaos.scene import Scene

Fault = Callable[["Scene"], Awaitable[None]]

REQUEST_TIMEOUT_SECONDS: Final = 3.0
"""The producer's request_timeout_ms: faults by which brokers fall silent last longer."""


async def kill_leader(scene: Scene) -> None:
    """SIGKILL a leader, and start it again some seconds later."""
    node = await scene.leader()
    await scene.do(scene.cluster.kill, node)
    await anyio.sleep(scene.rng.uniform(0.5, 7))  # after 4 s its partitions have other leaders
    await scene.do(scene.cluster.restart, node)


async def kill_two(scene: Scene) -> None:
    """SIGKILL two nodes of three at once: nothing can be acknowledged until one is back."""
    nodes = scene.rng.sample(scene.cluster.node_ids, 2)
    for node in nodes:
        await scene.do(scene.cluster.kill, node)
    await anyio.sleep(scene.rng.uniform(0.5, 5))
    for node in nodes:
        await scene.do(scene.cluster.restart, node)


async def pause_leader(scene: Scene) -> None:
    """SIGSTOP a leader for longer than request_timeout_ms; then it goes on as if nothing had been."""
    node = await scene.leader()
    scene.cluster.pause(node)
    await anyio.sleep(REQUEST_TIMEOUT_SECONDS + scene.rng.uniform(1, 4))
    scene.cluster.resume(node)


async def pause_leader_briefly(scene: Scene) -> None:
    """SIGSTOP a leader for less than request_timeout_ms."""
    node = await scene.leader()
    scene.cluster.pause(node)
    await anyio.sleep(scene.rng.uniform(0.2, 0.8) * REQUEST_TIMEOUT_SECONDS)
    scene.cluster.resume(node)


async def restart_in_turn(scene: Scene) -> None:
    """SIGTERM every node, one after the other, as an upgrade does: each leaves in a controlled way and comes back."""
    for node in scene.rng.sample(scene.cluster.node_ids, 3):
        await scene.do(scene.cluster.terminate, node)
        await scene.do(scene.cluster.restart, node)
        await scene.wait_healthy()


async def move_leaders(scene: Scene) -> None:
    """Move the leaderships about several times, all nodes being well."""
    for _ in range(3):
        await scene.do(scene.move_leaders, len(await scene.partitions()))
        await anyio.sleep(scene.rng.uniform(0.1, 1))


async def cut_answers(scene: Scene) -> None:
    """Cut connections in the middle of answers: the records were written, and the producer cannot know."""
    for _ in range(20):
        proxy = scene.cluster.proxy(scene.rng.choice(scene.cluster.node_ids))
        proxy.cut_after(scene.rng.randrange(300), "to_client", scene.rng.choice(("reset", "close")))
        await anyio.sleep(scene.rng.uniform(0.02, 0.2))


async def cut_requests(scene: Scene) -> None:
    """Cut connections in the middle of requests."""
    for _ in range(20):
        proxy = scene.cluster.proxy(scene.rng.choice(scene.cluster.node_ids))
        proxy.cut_after(scene.rng.randrange(10_000), "to_broker", scene.rng.choice(("reset", "close")))
        await anyio.sleep(scene.rng.uniform(0.02, 0.2))


async def reset_connections(scene: Scene) -> None:
    """Reset all connections, several times."""
    for _ in range(5):
        for node in scene.cluster.node_ids:
            scene.cluster.proxy(node).reset()
        await anyio.sleep(scene.rng.uniform(0.05, 0.5))


async def swallow(scene: Scene) -> None:
    """Swallow what is sent to or by one node, or all, for longer than request_timeout_ms."""
    nodes = scene.rng.choice(([scene.rng.choice(scene.cluster.node_ids)], scene.cluster.node_ids))
    direction = scene.rng.choice((*DIRECTIONS, None))
    for node in nodes:
        scene.cluster.proxy(node).black_hole(direction)
    await anyio.sleep(REQUEST_TIMEOUT_SECONDS + scene.rng.uniform(0.5, 3))


async def slow_down(scene: Scene) -> None:
    """Delay every byte."""
    for node in scene.cluster.node_ids:
        scene.cluster.proxy(node).set_latency(scene.rng.uniform(0.05, 0.5))
    await anyio.sleep(4)


FAULTS: Final[dict[str, Fault]] = {
    "leader killed": kill_leader,
    "two of three killed": kill_two,
    "leader paused": pause_leader,
    "leader paused briefly": pause_leader_briefly,
    "restarts in turn": restart_in_turn,
    "leaders moved": move_leaders,
    "answers cut": cut_answers,
    "requests cut": cut_requests,
    "connections reset": reset_connections,
    "bytes swallowed": swallow,
    "slow network": slow_down,
}

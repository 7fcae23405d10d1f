"""The dispatch of requests: to which broker one goes now, and if to none yet, what is done about that."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aioproducer._core.effects import Send

if TYPE_CHECKING:
    from aioproducer._core.cluster.metadata import Broker
    from aioproducer._core.cluster.node import Node
    from aioproducer._core.cluster.nodes import Nodes
    from aioproducer._core.effects import Effect
    from aioproducer._wire.schema import Message


class Dispatcher:
    """Collects the effects of a poll. A broker that is needed and not connected is connected to.

    Attributes:
        effects: what the shell is to do, in order.
        wake_at: when a broker that something waits for may be able to take it.
    """

    def __init__(self, nodes: Nodes) -> None:
        self.effects: list[Effect] = []
        self.wake_at = math.inf
        self.nodes = nodes

    def take(self) -> list[Effect]:
        """Return the effects and forget them."""
        effects, self.effects = self.effects, []
        return effects

    def is_usable(self, node: Node, now: float) -> bool:
        """Whether the node can take a request; if not, connect to it, log in anew, or note when it may be able to."""
        if self.nodes.can_send(node, now):
            return True
        if self.nodes.can_connect(node, now):
            self.effects.append(self.nodes.connect(node, now))
        elif self.nodes.has_to_renew(node, now):
            self.effects.append(self.nodes.renew(node, now))
        else:
            self.wake_at = min(self.wake_at, self.nodes.blocked_until(node, now))
        return False

    def least_loaded(self, now: float) -> Node | None:
        """Return a node that can take a request which any broker can answer; if none can, see to it that one will."""
        node = self.nodes.least_loaded(now)
        if node is None:
            self.wake_at = min(self.wake_at, self.nodes.next_candidate_at(now))
            return None
        return node if self.is_usable(node, now) else None

    def broker(self, broker: Broker, now: float) -> Node | None:
        """Return the node of a broker if it can take a request; if not, see to it that it will."""
        node = self.nodes.get(broker.node_id) or self.nodes.add(broker)
        return node if self.is_usable(node, now) else None

    @staticmethod
    def version_for(node: Node, request: type[Message], at_most: int | None = None) -> int:
        """Return the version to speak with a node that is ready.

        Raises:
            UnsupportedVersionError: there is none.
        """
        assert node.versions is not None, "a node that is ready has versions"
        return node.versions.version_for(request, at_most)

    def send(self, node: Node, version: int, message: Message, context: object, now: float) -> None:
        """Send a request to a usable node; the answer comes back with the context."""
        request = self.nodes.begin_request(node, message.api_key, version, context, now)
        self.effects.append(Send(node.node_id, request, message, None))

"""The registry of control requests: the order in which a poll asks them, and their way to a broker and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.requests.control_request import ControlRequest
from aioproducer._wire.schema import Response
from aioproducer.errors import ProtocolError, UnsupportedVersionError

if TYPE_CHECKING:
    from aioproducer._core.cluster.dispatch import Dispatcher
    from aioproducer._core.cluster.node import Node
    from aioproducer._core.failures import Failures
    from aioproducer._wire.schema import Message
    from aioproducer.errors import KafkaError


class ControlRequests:
    """Sends control requests and hands their answers back to them; does not know what any of them is about."""

    def __init__(self, dispatcher: Dispatcher, failures: Failures) -> None:
        self._dispatcher = dispatcher
        self._failures = failures
        self._registered: list[ControlRequest] = []

    def add(self, request: ControlRequest) -> None:
        """Have each poll ask the request whether it is due, after those that were added before it.

        The order matters where a broker has room for one more request, and as each draws from the same random numbers.
        """
        self._registered.append(request)

    def times(self) -> list[float]:
        """Return when each of them is due; infinity for never."""
        return [request.next_at() for request in self._registered]

    def send_due(self, now: float) -> None:
        """Send those that are due and have a broker that can take them; none after one that ends the producer."""
        for request in self._registered:
            if self._failures.fatal_error is not None:
                return
            if request.is_due(now):
                self.send(request, now)

    def send(self, request: ControlRequest, now: float) -> None:
        """Send a request that is due, if its broker can take it; else see to it that it will (`Dispatcher`)."""
        node = self._node_for(request, now)
        if node is None:
            return
        try:
            version = self._dispatcher.version_for(node, request.request, request.at_most)
            message = request.build(version)
        except UnsupportedVersionError as error:
            if request.target() is None and self._dispatcher.nodes.has_other_for(node, request.request):
                # One broker of many lacks what any of them may be asked: its own fault, and the others go on.
                self._dispatcher.effects.append(self._dispatcher.nodes.disconnect(node, error))
            else:
                request.on_unsupported(error, now)
            return
        request.version = version
        request.retry_timer.begin()
        self._dispatcher.send(node, version, message, request, now)

    def _node_for(self, request: ControlRequest, now: float) -> Node | None:
        target = request.target()
        if target is not None:
            return self._dispatcher.broker(target, now)
        node = self._dispatcher.least_loaded(now)
        if node is None and request.on_no_broker(now):
            node = self._dispatcher.least_loaded(now)
        return node

    def on_response(self, request: object, message: Message, node: Node, now: float) -> None:
        """Hand the answer to the request that it is to.

        Raises:
            ProtocolError: it is the answer to something else, or makes no sense.
        """
        assert isinstance(request, ControlRequest), "what is no Produce request is a control request"
        if not isinstance(message, Response) or message.api_key != request.request.api_key:
            error = unexpected_answer(node, message)
            request.on_lost(error, now)
            raise error
        self._dispatcher.nodes.throttle(node, message.throttle_ms(request.version), now)
        request.on_response(message, node, now)

    @staticmethod
    def on_lost(request: object, error: KafkaError, now: float) -> None:
        """The connection went before the answer came."""
        assert isinstance(request, ControlRequest), "what is no Produce request is a control request"
        request.on_lost(error, now)


def unexpected_answer(node: Node, message: Message) -> ProtocolError:
    """Return the error of an answer whose request was another."""
    return ProtocolError(f"{node.address} answered with a {type(message).__name__} that was not asked for")

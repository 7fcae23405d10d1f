"""Log lines of a producer's life, and of what the application's own code raises.

Whoever writes one imports this module then: `logging` takes 5 ms with what it loads, and `import aioproducer` does
without. Event loops have it anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioproducer._logger import get_logger
from aioproducer.errors._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aioproducer.interceptors import ProducerInterceptor

_producer = get_logger("aioproducer.producer")
_delivery = get_logger("aioproducer.delivery")


def settings(client_id: str, warnings: Iterable[str], notes: Iterable[str]) -> None:
    """What is surprising in the settings, and what followed from them."""
    for text in warnings:
        _producer.warning("%s: %s", client_id, text, extra={"event_name": "settings", "client_id": client_id})
    for text in notes:
        _producer.info("%s: %s", client_id, text, extra={"event_name": "settings", "client_id": client_id})


def started(client_id: str) -> None:
    """The producer is ready."""
    _producer.info("%s is started", client_id, extra={"event_name": "started", "client_id": client_id})


def closed(client_id: str) -> None:
    """The producer has ended."""
    _producer.info("%s is closed", client_id, extra={"event_name": "closed", "client_id": client_id})


def interceptor_failed(method: str, interceptor: ProducerInterceptor[Any, Any], error: BaseException) -> None:
    """An interceptor raised; whatever it was called for goes on."""
    name = type(interceptor).__name__
    _producer.warning(
        "an interceptor's %s raised; what it was called for goes on without it (%s)",
        method,
        name,
        exc_info=redacted(error),
        extra={"event_name": "interceptor_failed", "interceptor": name},
    )


def callback_failed(delivery: object, error: BaseException) -> None:
    """A delivery callback raised; its record has its outcome all the same."""
    _delivery.error(
        "a delivery callback raised (%r); its record is not affected",
        delivery,
        exc_info=redacted(error),
        extra={"event_name": "callback_failed"},
    )

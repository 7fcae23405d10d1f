"""Where a plain function is called, a coroutine function is refused before anything is sent: nothing would await it."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest

from aioproducer import ConfigurationError, Producer, ProducerInterceptor


async def coroutine_function(*_: object) -> Any:
    """Never runs."""


class Callable:
    """An object that is called."""

    async def __call__(self, *_: object) -> Any: ...


class Serializing:
    """The other form of a serializer."""

    async def serialize(self, topic: str, value: Any, headers: Any) -> bytes: ...  # type: ignore[empty-body]


class Interceptor(ProducerInterceptor[Any, Any]):
    """One that does nothing."""


def interceptor(name: str) -> ProducerInterceptor[Any, Any]:
    made = Interceptor()
    setattr(made, name, coroutine_function)
    return made


KINDS: Final[list[Any]] = [coroutine_function, partial(coroutine_function, 1), Callable()]
SERVERS: Final = "localhost:9092"


@pytest.mark.parametrize("given", KINDS)
@pytest.mark.parametrize("name", ["key_serializer", "value_serializer", "partitioner"])
def test_a_setting_that_is_called(name: str, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} is a coroutine function"):
        Producer(bootstrap_servers=SERVERS, **{name: given})


@pytest.mark.parametrize("given", [*KINDS, Serializing()])
@pytest.mark.parametrize("name", ["key_serializer", "value_serializer"])
def test_a_serializer_of_a_topic(name: str, given: Any) -> None:
    with pytest.raises(TypeError, match="coroutine function"):
        Producer(bootstrap_servers=SERVERS).topic("t", **{name: given})


def test_a_serializer_with_a_method() -> None:
    with pytest.raises(ConfigurationError, match="has serialize, which is a coroutine function"):
        given: Any = {"value_serializer": Serializing()}
        Producer(bootstrap_servers=SERVERS, **given)


@pytest.mark.parametrize("name", ["on_send", "on_acknowledgement", "close"])
def test_an_interceptor(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} of Interceptor, which is a coroutine function"):
        Producer(bootstrap_servers=SERVERS, interceptors=[interceptor(name)])


@pytest.mark.parametrize("given", KINDS)
def test_on_error(given: Any) -> None:
    with pytest.raises(TypeError, match="on_error is a coroutine function"):
        Producer(bootstrap_servers=SERVERS, on_error=given)


@pytest.mark.parametrize("name", ["on_error", "connect"])
def test_what_cannot_be_called_at_all(name: str) -> None:
    given: Any = {name: 1}
    with pytest.raises(TypeError, match=f"{name} is int"):
        Producer(bootstrap_servers=SERVERS, **given)

"""What can be made a provider of tokens."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._providers import as_provider
from aioproducer.security._token import Token
from tests.unit.sasl.canary import CANARY, error_of
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.jwts import jwt


async def test_an_async_callable_is_one_already() -> None:
    async def provider() -> Token:
        return Token("t", expires_at_ms=5)

    assert (await as_provider(provider)()).expires_at_ms == 5
    assert (await as_provider(partial(provider))()).expires_at_ms == 5


async def test_a_text_is_enough() -> None:
    async def provider() -> str:
        return jwt(exp=5)

    assert (await as_provider(provider)()).expires_at_ms == 5000


async def test_a_synchronous_callable_runs_in_a_thread() -> None:
    threads: list[threading.Thread] = []

    def provider() -> tuple[str, int]:
        threads.append(threading.current_thread())
        return "t", 5

    assert (await as_provider(provider)()).expires_at_ms == 5000
    assert threads[0] is not threading.current_thread()


async def test_aiokafkas_form_is_taken() -> None:
    class Provider:
        async def token(self) -> str:
            return "t"

        def extensions(self) -> dict[str, str]:
            return {"a": "b"}

    token = await as_provider(Provider())()
    assert (token.value, dict(token.extensions)) == (Secret("t"), {"a": "b"})


async def test_kafka_pythons_form_is_taken() -> None:
    class Provider:
        def token(self) -> str:
            return "t"

    assert (await as_provider(Provider())()).value == Secret("t")


async def test_extensions_of_the_token_itself_come_first() -> None:
    class Provider:
        async def token(self) -> Token:
            return Token("t", extensions={"own": "1"})

        def extensions(self) -> dict[str, str]:
            return {"other": "2"}

    assert dict((await as_provider(Provider())()).extensions) == {"own": "1"}


SECRET: Any = [CANARY]


async def test_an_answer_that_is_no_token_is_not_shown() -> None:
    error = await error_when_awaited(as_provider(lambda: SECRET)())
    assert "returned list" in str(error)


@pytest.mark.parametrize("given", [7, Secret("t"), object()])
def test_what_gives_no_tokens_is_refused(given: Any) -> None:
    error = error_of(lambda: as_provider(given))
    assert isinstance(error, ConfigurationError)
    assert type(given).__name__ in str(error)

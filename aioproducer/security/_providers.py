"""Providers of tokens: any async callable without arguments that returns a Token, and what can be made one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeAlias

from aioproducer._public import public_in
from aioproducer.errors import ConfigurationError
from aioproducer.security._sources import answer_of
from aioproducer.security._token import Token, token_from_answer


@public_in("aioproducer.security")
class TokenProvider(Protocol):
    """Gives a token each time it is called; whoever calls keeps it and asks anew before it ends (`TokenCache`).

    Raise AuthenticationError with `retriable` false when asking again is of no use; anything else counts as a failure
    that may pass.

    Example:
        from aioproducer.security import Token

        async def provider() -> Token:
            return Token("header.claims.signature", expires_at_ms=4102444800_000)

        assert (await provider()).expires_at_ms == 4102444800_000
    """

    async def __call__(self) -> Token:
        """Return a token that was not returned before, as far as its issuer allows. Has to be cancel-safe."""
        ...


class _HasToken(Protocol):
    """A provider as aiokafka and kafka-python have it (AbstractTokenProvider)."""

    def token(self) -> Any: ...


TokenProviderLike: TypeAlias = TokenProvider | Callable[[], Any] | _HasToken
"""What is taken where a provider is wanted; see `as_provider`."""


@public_in("aioproducer.security")
def as_provider(given: TokenProviderLike) -> TokenProvider:
    """Return a provider for whatever gives tokens.

    Args:
        given: an async callable that returns a Token, a str or a tuple (`token_from_answer`); a synchronous one, which
            runs in a thread of its own; or an object with `token()`, of either kind, and maybe `extensions()`, as
            aiokafka and kafka-python want them.

    Raises:
        ConfigurationError: it is none of these.
    """
    token = getattr(given, "token", None)
    if callable(token):
        return partial(_ask, token, getattr(given, "extensions", None))
    if callable(given):
        return partial(_ask, given, None)
    raise ConfigurationError(
        "a token provider is an async callable that returns a Token, or an object with token(); not"
        f" {type(given).__name__}"
    )


async def _ask(token: Callable[[], Any], extensions: Callable[[], Any] | None) -> Token:
    found = token_from_answer(await answer_of(token))
    if found.extensions or not callable(extensions):
        return found
    return Token(
        found.value,
        expires_at_ms=found.expires_at_ms,
        principal=found.principal,
        extensions=await answer_of(extensions),
        issued_at_ms=found.issued_at_ms,
    )

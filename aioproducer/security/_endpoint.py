"""TokenEndpoint: where tokens are asked for, for how long, and how often when it fails."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlencode

import anyio

from aioproducer._public import public_in
from aioproducer._secret import Secret
from aioproducer.errors import AuthenticationError, ConfigurationError
from aioproducer.security._answers import FINAL, OK, Retries, error_from, token_in
from aioproducer.security._clock import wall_clock_ms
from aioproducer.security._http import TIMEOUT_SECONDS, HttpRequest, HttpResponse, fetch
from aioproducer.security._urls import service_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Mapping

    from aioproducer.security._http import HeaderValue
    from aioproducer.security._token import Token
    from aioproducer.security._urls import Url


@public_in("aioproducer.security")
class TokenEndpoint:
    """An OAuth 2.0 token endpoint (RFC 6749 §3.2), with what is special about asking it.

    Example:
        from aioproducer.security import TokenEndpoint

        endpoint = TokenEndpoint("https://login.example.com/oauth2/token", timeout=5)
    """

    def __init__(
        self,
        url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT_SECONDS,
        retry_backoff_ms: int = 100,
        retry_backoff_max_ms: int = 10_000,
        allow_plain_http: bool = False,
    ) -> None:
        """Describe it; nothing is asked yet.

        Args:
            url: https, or http on this host.
            ssl_context: for another CA than the system's.
            timeout: seconds for one attempt, from the look-up of the name to the last byte.
            retry_backoff_ms: the pause after the first failure that may pass; each is twice the one before.
            retry_backoff_max_ms: after so long no further attempt begins (sasl.login.retry.backoff.max.ms).
            allow_plain_http: take http for other hosts too: everybody on the way can then read the credentials.

        Raises:
            ConfigurationError: the address or a number is not as above.
        """
        if timeout <= 0:
            raise ConfigurationError(f"timeout is {timeout} seconds: it is more than 0")
        self._url = service_url("the address of the token endpoint", url, allow_plain_http=allow_plain_http)
        self._ssl_context = ssl_context
        self._timeout = timeout
        self._retries = Retries(retry_backoff_ms, retry_backoff_max_ms)

    async def token(
        self,
        form: Mapping[str, str | Secret],
        *,
        authorization: Secret | None = None,
        extensions: Mapping[str, str] | None = None,
        principal_claim: str = "sub",
    ) -> Token:
        """Post a form and return the token of the answer. Cancel-safe.

        Args:
            form: the fields, not encoded.
            authorization: the header of this name.
            extensions: what is to be sent with the token (KIP-342).
            principal_claim: the claim that names the principal.

        Raises:
            AuthenticationError: no token; `retriable` says whether it failed definitely or for too long.
        """
        headers: dict[str, HeaderValue] = {
            "Accept": "application/json",
            "Cache-Control": "no-cache",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if authorization is not None:
            headers["Authorization"] = authorization
        request = HttpRequest(self._url, "POST", headers, encoded(form), self._timeout, self._ssl_context)
        response = await ask(request, self._retries)
        return token_in(
            self._url.shown,
            response,
            now_ms=wall_clock_ms(),
            extensions=extensions or {},
            principal_claim=principal_claim,
        )

    def __repr__(self) -> str:
        url: Url | None = getattr(self, "_url", None)  # a traceback may show it half made
        return f"TokenEndpoint({'' if url is None else url.shown!r})"


TokenEndpointLike: TypeAlias = str | TokenEndpoint
"""A token endpoint, or its address when nothing is special about it."""


def endpoint_from(given: TokenEndpointLike) -> TokenEndpoint:
    """Return the endpoint for an address."""
    return given if isinstance(given, TokenEndpoint) else TokenEndpoint(given)


def encoded(form: Mapping[str, str | Secret]) -> Secret:
    """Return a form's fields as they are posted (application/x-www-form-urlencoded: a space is "+")."""
    return Secret(
        urlencode({name: value.reveal() if isinstance(value, Secret) else value for name, value in form.items()})
    )


async def ask(request: HttpRequest, retries: Retries, final: Collection[int] = FINAL) -> HttpResponse:
    """Return a good answer; ask again after failures that may pass. Cancel-safe.

    Args:
        request: what is asked.
        retries: how often.
        final: the statuses that asking again does not change.

    Raises:
        AuthenticationError: the last failure.
    """
    began = anyio.current_time()
    for attempt in count(1):
        error, retry_after = await _attempt(request, final)
        if isinstance(error, HttpResponse):
            return error
        pause = retries.pause(attempt, elapsed=anyio.current_time() - began, retry_after=retry_after)
        if pause is None or not error.retriable:
            raise error
        await anyio.sleep(pause)
    raise AssertionError("count has no end")


async def _attempt(
    request: HttpRequest, final: Collection[int]
) -> tuple[HttpResponse | AuthenticationError, float | None]:
    try:
        response = await fetch(request)
    except AuthenticationError as error:
        return error, None
    if response.status in OK:
        return response, None
    return error_from(request.url.shown, response, final), response.retry_after

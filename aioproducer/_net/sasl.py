"""The step that logs in by SASL: SaslHandshake, then the mechanism's bytes in SaslAuthenticate (KIP-43, KIP-152).

Where credentials come from is asked for each connection, so that what was rotated counts from the next one on.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from aioproducer._net.setup import Ask, Await
from aioproducer._secret import Secret
from aioproducer._wire.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from aioproducer._wire.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from aioproducer.errors import (
    AuthenticationError,
    BrokerError,
    ErrorCode,
    KafkaConnectionError,
    UnsupportedVersionError,
)
from aioproducer.errors._from_code import error_for
from aioproducer.sasl import Gssapi, OAuthBearer, Plain, Scram, ScramKeyCache, ScramName
from aioproducer.security._sources import SecretSource, secret_from
from aioproducer.security._threads import run_in_thread

if TYPE_CHECKING:
    from aioproducer._net.setup import Exchange
    from aioproducer._wire.negotiation import BrokerVersions
    from aioproducer.sasl import GssContext, Mechanism
    from aioproducer.security._cache import TokenCache
    from aioproducer.security._token import Token

Credentials = Callable[[], Awaitable["Mechanism"]]
"""Makes a mechanism for one exchange."""

MAX_TOKEN_BYTES: Final = 500_000
"""Brokers close the connection on a longer one without a word (sasl.server.max.receive.size is 524,288)."""


class SaslStep:
    """See `AuthenticateStep`.

    Attributes:
        name: the step in messages to people.
    """

    def __init__(self, mechanism: str, credentials: Credentials | KerberosCredentials) -> None:
        """Take the mechanism's name and what makes one."""
        self.name = f"SASL {mechanism}"
        self._mechanism = mechanism
        self._credentials = credentials

    def exchange(self, host: str, port: int, versions: BrokerVersions) -> Exchange:
        """See `AuthenticateStep.exchange`."""
        handshake_version = versions.version_for(SaslHandshakeRequest)
        authenticate_version = versions.version_for(SaslAuthenticateRequest)
        if handshake_version < 1:
            raise UnsupportedVersionError("the broker has SaslHandshake in version 0 only: it is older than Kafka 1.0")
        credentials = self._credentials
        make = credentials.at(host) if isinstance(credentials, KerberosCredentials) else credentials
        mechanism = cast("Mechanism", (yield Await(make)))
        answer = yield Ask(SaslHandshakeRequest(mechanism=self._mechanism), handshake_version)
        _check_handshake(self._mechanism, cast(SaslHandshakeResponse, answer))
        token = Secret(mechanism.first())  # a traceback with locals shows this frame
        while True:
            size = len(token.reveal_bytes())
            if size > MAX_TOKEN_BYTES:
                raise AuthenticationError(f"what is to be sent has {size} bytes, more than brokers take")
            request = SaslAuthenticateRequest(auth_bytes=token.reveal_bytes())
            response = cast(SaslAuthenticateResponse, (yield Ask(request, authenticate_version)))
            if response.error_code != ErrorCode.NONE:
                if isinstance(self._credentials, TokenCredentials):
                    self._credentials.on_refused()
                raise _refusal(mechanism, response)
            step = mechanism.next(response.auth_bytes)
            if step is None:
                return response.session_lifetime_ms / 1000 if response.session_lifetime_ms > 0 else None
            if callable(step):
                step = cast(bytes, (yield Await(partial(run_in_thread, step))))
            token, step = Secret(step), None


def _check_handshake(mechanism: str, answer: SaslHandshakeResponse) -> None:
    if answer.error_code == ErrorCode.NONE:
        return
    error = error_for(answer.error_code, api="SaslHandshake")
    if answer.error_code == ErrorCode.UNSUPPORTED_SASL_MECHANISM:
        offered = ", ".join(sorted(answer.mechanisms)) or "none"
        _say(error, f"the broker does not offer {mechanism}, but {offered}: set sasl_mechanism to one of these")
    elif answer.error_code == ErrorCode.ILLEGAL_SASL_STATE and not answer.mechanisms:
        _say(error, "this listener of the broker's does not use SASL: set security_protocol to SSL or PLAINTEXT")
    raise error


def _refusal(mechanism: Mechanism, answer: SaslAuthenticateResponse) -> BrokerError:
    error = error_for(answer.error_code, answer.error_message, api="SaslAuthenticate")
    if mechanism.hint:
        _say(error, f"{error}; {mechanism.hint}")
    return error


def _say(error: BrokerError, text: str) -> None:
    error.args = (text,)


# ── credentials of the mechanisms ────────────────────────────────────────────────────────────────────────────────────


def plain_credentials(username: str, password: SecretSource) -> Credentials:
    """Return what makes the mechanism PLAIN; the password may be a callable, which is asked each time."""

    async def make() -> Mechanism:
        return Plain(username, await _had(partial(secret_from, password)))

    return make


def scram_credentials(
    name: ScramName, username: str, password: SecretSource, *, is_delegation_token: bool = False
) -> Credentials:
    """Return what makes the mechanism SCRAM; keys that were derived once are kept for the next connections."""
    cache = ScramKeyCache()

    async def make() -> Mechanism:
        secret = await _had(partial(secret_from, password))
        nonce = secrets.token_urlsafe(24)
        return Scram(name, username, secret, nonce=nonce, is_delegation_token=is_delegation_token, cache=cache)

    return make


class TokenCredentials:
    """What makes the mechanism OAUTHBEARER, with the token that a cache has; not with one that was refused."""

    def __init__(self, cache: TokenCache) -> None:
        """Take the cache."""
        self._cache = cache
        self._token: Token | None = None
        self._is_refused = False

    async def __call__(self) -> Mechanism:
        """Return a new mechanism."""
        refused, self._is_refused = self._token if self._is_refused else None, False
        self._token = token = await _had(partial(self._cache.get, newer_than=refused))
        return OAuthBearer(token.value, extensions=token.extensions)

    def on_refused(self) -> None:
        """The broker did not accept what was made last; another connection may have made it."""
        self._is_refused = True


class KerberosCredentials:
    """What makes the mechanism GSSAPI: with a ticket for the very broker that is called."""

    def __init__(self, new_context: Callable[[str], GssContext]) -> None:
        """Take what makes a context for a host; it may block, and asks the KDC with its first step."""
        self._new_context = new_context

    def at(self, host: str) -> Credentials:
        """Return what makes one for this broker."""
        return partial(_had, partial(run_in_thread, partial(self._begun, host.rstrip("."))))

    def _begun(self, host: str) -> Mechanism:
        context = self._new_context(host)
        return Gssapi(context, context.step(b""))


async def _had(get: Callable[[], Awaitable[Any]]) -> Any:
    """Return a credential. One that could not be had now fails this connection only, and is asked for again."""
    try:
        return await get()
    except AuthenticationError as error:
        if not error.retriable:
            raise
        raise KafkaConnectionError(str(error)) from error

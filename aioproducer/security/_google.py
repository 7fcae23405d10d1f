"""Tokens for Google's Managed Service for Apache Kafka: Google's access token, in the form of a JWT."""

from __future__ import annotations

import base64
import json
from typing import Final

from aioproducer._public import public_in
from aioproducer._secret import Secret
from aioproducer.security._answers import Retries, expiry_in, object_in
from aioproducer.security._clock import wall_clock_ms
from aioproducer.security._endpoint import ask
from aioproducer.security._failures import unavailable
from aioproducer.security._http import HttpRequest, HttpResponse
from aioproducer.security._token import Token
from aioproducer.security._urls import Url, metadata_url

METADATA: Final = "http://metadata.google.internal"


@public_in("aioproducer.security")
class GoogleCloud:
    """The service account of a machine, pod or function, from its metadata service.

    Elsewhere, Google's local authentication server is an endpoint for OidcClientCredentials.

    Example:
        from aioproducer.security import GoogleCloud

        provider = GoogleCloud()
    """

    def __init__(self, *, service_account: str = "default", address: str = METADATA) -> None:
        """Name the account.

        Args:
            service_account: its e-mail address, or "default": the first one of the machine.
            address: of the metadata service.

        Raises:
            ConfigurationError: the address, with the account in it, is not one.
        """
        self._service_account = service_account
        name = "the address of Google's metadata service"
        path = f"{address.rstrip('/')}/computeMetadata/v1/instance/service-accounts/{service_account}"
        self._token_url = metadata_url(name, f"{path}/token")
        self._email_url = metadata_url(name, f"{path}/email")

    async def __call__(self) -> Token:
        """Return a token; the service keeps it for most of an hour and gives the same one. Cancel-safe.

        Raises:
            AuthenticationError: there is none; `retriable` says whether asking later may help.
        """
        email = (await self._ask(self._email_url)).body.reveal_bytes().decode(errors="replace").strip()
        response = await self._ask(self._token_url)
        now_ms = wall_clock_ms()
        fields = object_in(self._token_url.shown, response)
        access_token, expires_at_ms = Secret(str(fields.get("access_token") or "")), expiry_in(fields, now_ms=now_ms)
        del fields
        if not access_token or expires_at_ms is None:
            raise unavailable(f"{self._token_url.shown} answered without access_token and expires_in")
        return kafka_token(access_token, email=email, issued_at_ms=now_ms, expires_at_ms=expires_at_ms)

    async def _ask(self, url: Url) -> HttpResponse:
        return await ask(HttpRequest(url, headers={"Metadata-Flavor": "Google"}), Retries())

    def __repr__(self) -> str:
        return f"GoogleCloud(service_account={self._service_account!r})"


def kafka_token(access_token: Secret, *, email: str, issued_at_ms: int, expires_at_ms: int) -> Token:
    """Return what Google's brokers take: an access token where a JWT has its signature.

    Args:
        access_token: of Google, with the scope cloud-platform.
        email: of the service account.
        issued_at_ms: wall clock.
        expires_at_ms: wall clock, of the access token.
    """
    header = {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}
    claims = {"exp": expires_at_ms // 1000, "iat": issued_at_ms // 1000, "iss": "Google", "sub": email}
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in (header, claims)]
    value = Secret(b".".join(_base64url(part) for part in (*parts, access_token.reveal_bytes())))
    return Token(value, expires_at_ms=expires_at_ms, principal=email, issued_at_ms=issued_at_ms)


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")

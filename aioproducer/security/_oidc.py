"""Tokens from a token endpoint, for a client's secret or signed statement (KIP-768, KIP-1258)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import quote_plus

from aioproducer._public import public_in
from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._oauthbearer import check_extensions
from aioproducer.security._endpoint import TokenEndpointLike, endpoint_from
from aioproducer.security._sources import SecretSource, kept, secret_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer.security._assertions import Assertion
    from aioproducer.security._token import Token

ClientAuth: TypeAlias = Literal["basic", "post"]
"""Where id and secret go: the header Authorization, or the form (RFC 6749 §2.3.1)."""

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@public_in("aioproducer.security")
class OidcClientCredentials:
    """The grant `client_credentials` (RFC 6749 §4.4), as Kafka's DefaultJwtRetriever asks for it.

    Example:
        import os

        from aioproducer.security import OidcClientCredentials

        provider = OidcClientCredentials(
            "https://login.example.com/oauth2/token",
            "orders-service",
            os.environ.get("KAFKA_CLIENT_SECRET", "from the environment"),
            scope="kafka",
        )
    """

    def __init__(
        self,
        token_endpoint: TokenEndpointLike,
        client_id: str,
        client_secret: SecretSource | None = None,
        *,
        assertion: Assertion | None = None,
        scope: str | None = None,
        audience: str | None = None,
        client_auth: ClientAuth = "basic",
        urlencode_header: bool = False,
        extensions: Mapping[str, str] | None = None,
        parameters: Mapping[str, str | Secret] | None = None,
        principal_claim: str = "sub",
    ) -> None:
        """Take what a token is asked for with; nothing is asked yet.

        Args:
            token_endpoint: the address, or a TokenEndpoint.
            client_id: of this client.
            client_secret: a value, or a callable that is asked each time.
            assertion: a signed statement instead of the secret (KIP-1258).
            scope: several are separated by spaces.
            audience: for whom the token is to be, where the endpoint wants to know (Auth0, for one).
            client_auth: "post" for endpoints that want id and secret in the form.
            urlencode_header: encode id and secret before they go into the header, as RFC 6749 wants and Kafka by
                default does not (sasl.oauthbearer.header.urlencode).
            extensions: sent with each token (KIP-342), such as Confluent Cloud's logicalCluster and identityPoolId.
            parameters: more fields of the form; secret ones as Secret.
            principal_claim: sasl.oauthbearer.sub.claim.name.

        Raises:
            ConfigurationError: the id is empty, neither or both of secret and assertion are given, or an address,
                extension or client_auth is not as it should be.
        """
        # First of all: what is raised below shows no secret in its traceback.
        client_secret = None if client_secret is None else kept(client_secret)
        self._client_id = client_id
        if not client_id:
            raise ConfigurationError("the client id for the token endpoint is empty")
        if (client_secret is None) == (assertion is None):
            raise ConfigurationError("the token endpoint needs one of client_secret and assertion")
        if client_auth not in ("basic", "post"):
            raise ConfigurationError(f"client_auth is basic or post, not {client_auth!r}")
        self._endpoint = endpoint_from(token_endpoint)
        self._client_secret = client_secret
        self._assertion = assertion
        self._client_auth = client_auth
        self._urlencode_header = urlencode_header
        self._extensions = dict(extensions or {})
        self._principal_claim = principal_claim
        asked_for = {"scope": scope, "audience": audience}
        self._form: dict[str, str | Secret] = {
            "grant_type": "client_credentials",
            **{name: value for name, value in asked_for.items() if value},
            **(parameters or {}),
        }
        check_extensions(self._extensions)

    async def __call__(self) -> Token:
        """Return a new token. Cancel-safe.

        Raises:
            AuthenticationError: there is none; `retriable` says whether asking later may help.
        """
        form: dict[str, str | Secret] = {**self._form}
        authorization: Secret | None = None
        if self._assertion is not None:
            form |= client_assertion(self._client_id, await self._assertion())
        elif self._client_auth == "post":
            form |= {"client_id": self._client_id, "client_secret": await self._secret()}
        else:
            authorization = _basic(self._client_id, await self._secret(), self._urlencode_header)
        return await self._endpoint.token(
            form,
            authorization=authorization,
            extensions=self._extensions,
            principal_claim=self._principal_claim,
        )

    async def _secret(self) -> Secret:
        assert self._client_secret is not None
        return await secret_from(self._client_secret)

    def __repr__(self) -> str:
        endpoint = getattr(self, "_endpoint", None)  # a traceback may show it half made
        return f"OidcClientCredentials({endpoint!r}, client_id={self._client_id!r})"


def client_assertion(client_id: str, assertion: Secret) -> dict[str, str | Secret]:
    """Return the fields by which a signed statement stands for the client's secret (RFC 7523 §2.2)."""
    return {"client_id": client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def _basic(client_id: str, secret: Secret, urlencode: bool) -> Secret:
    if urlencode:
        client_id, secret = quote_plus(client_id), Secret(quote_plus(secret.reveal_bytes()))
    # Kafka uses the standard alphabet of base64, as RFC 7617 wants (KAFKA-14496 was about the other one).
    pair = Secret(client_id.encode() + b":" + secret.reveal_bytes())
    return Secret(b"Basic " + base64.b64encode(pair.reveal_bytes()))

"""Tokens from a token endpoint, for a signed statement alone (RFC 7523 §2.1; KIP-1139)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._public import public_in
from aioproducer.sasl._oauthbearer import check_extensions
from aioproducer.security._endpoint import TokenEndpointLike, endpoint_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer._secret import Secret
    from aioproducer.security._assertions import Assertion
    from aioproducer.security._token import Token

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@public_in("aioproducer.security")
class JwtBearer:
    """The grant `jwt-bearer`, as Kafka's JwtBearerJwtRetriever asks for it.

    Example:
        from aioproducer.security import AssertionFile, JwtBearer

        provider = JwtBearer("https://login.example.com/oauth2/token", AssertionFile("/var/run/assertion.jwt"))
    """

    def __init__(
        self,
        token_endpoint: TokenEndpointLike,
        assertion: Assertion,
        *,
        scope: str | None = None,
        extensions: Mapping[str, str] | None = None,
        parameters: Mapping[str, str | Secret] | None = None,
        principal_claim: str = "sub",
    ) -> None:
        """Take what a token is asked for with; nothing is asked yet.

        Args:
            token_endpoint: the address, or a TokenEndpoint.
            assertion: what signs, or has, the statement: SignedAssertion, AssertionFile or your own.
            scope: several are separated by spaces.
            extensions: sent with each token (KIP-342).
            parameters: more fields of the form; secret ones as Secret.
            principal_claim: sasl.oauthbearer.sub.claim.name.

        Raises:
            ConfigurationError: an address or extension is not as it should be.
        """
        self._assertion = assertion
        self._endpoint = endpoint_from(token_endpoint)
        self._extensions = dict(extensions or {})
        self._principal_claim = principal_claim
        self._form: dict[str, str | Secret] = {
            "grant_type": GRANT_TYPE,
            **({"scope": scope} if scope else {}),
            **(parameters or {}),
        }
        check_extensions(self._extensions)

    async def __call__(self) -> Token:
        """Return a new token. Cancel-safe.

        Raises:
            AuthenticationError: there is none; `retriable` says whether asking later may help.
        """
        form: dict[str, str | Secret] = {**self._form, "assertion": await self._assertion()}
        return await self._endpoint.token(form, extensions=self._extensions, principal_claim=self._principal_claim)

    def __repr__(self) -> str:
        endpoint = getattr(self, "_endpoint", None)  # a traceback may show it half made
        return f"JwtBearer({endpoint!r}, {self._assertion!r})"

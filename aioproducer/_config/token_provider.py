"""What gives tokens for OAUTHBEARER, as the settings describe it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aioproducer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer._secret import Secret
    from aioproducer.security._assertions import Assertion
    from aioproducer.security._jaas_modules import OAuthLogin
    from aioproducer.security._providers import TokenProvider
    from aioproducer.security._token import Token

PREFIX: Final = "sasl_oauthbearer_"


class ConstantToken:
    """A provider of one token, for what has it in its settings."""

    __slots__ = ("_token",)

    def __init__(self, token: Secret) -> None:
        """Keep the token."""
        self._token = token

    async def __call__(self) -> Token:
        """Return it."""
        from aioproducer.security._token import token_from_text

        return token_from_text(self._token)


def token_provider_of(values: Mapping[str, Any]) -> TokenProvider:
    """Return the provider that settings name, or one that asks the token endpoint that they describe.

    Args:
        values: settings by name, in which one of the two is.

    Raises:
        ConfigurationError: something about the endpoint is not as it should be.
    """
    from aioproducer.security._providers import as_provider

    given = values["sasl_oauth_token_provider"]
    if given is not None:
        return as_provider(given)
    url: str = values[PREFIX + "token_endpoint_url"]
    if url.startswith("file:"):
        from aioproducer.security._token_file import TokenFile

        return TokenFile(url.removeprefix("file:").removeprefix("//"))
    return _of_endpoint(url, values)


def unsecured_token(login: OAuthLogin) -> TokenProvider:
    """Return the provider of tokens without a signature that options unsecuredLogin… of sasl.jaas.config describe.

    Raises:
        ConfigurationError: there is no subject, or a number is none.
    """
    from aioproducer.security._unsecured import UnsecuredToken

    options = login.unsecured
    claims: dict[str, object] = {}
    try:
        for option, text in options.items():
            kind, _, name = option.partition("_")
            if kind == "StringClaim":
                claims[name] = text
            elif kind == "NumberClaim":
                claims[name] = float(text)
            elif kind == "ListClaim":  # its first character separates the rest
                claims[name] = text[1:].split(text[0]) if text else []
        lifetime = int(options.get("LifetimeSeconds", "3600"))
    except ValueError:
        raise ConfigurationError(
            "sasl_jaas_config: an option unsecuredLogin… is not the number that it should be"
        ) from None
    subject = claims.pop(options.get("PrincipalClaimName", "sub"), "")
    return UnsecuredToken(str(subject), claims=claims, lifetime_seconds=lifetime, extensions=login.extensions)


def _of_endpoint(url: str, values: Mapping[str, Any]) -> TokenProvider:
    from aioproducer.security._endpoint import TokenEndpoint
    from aioproducer.security._oidc import OidcClientCredentials

    endpoint = TokenEndpoint(
        url,
        timeout=max(1, values["sasl_login_connect_timeout_ms"] + values["sasl_login_read_timeout_ms"]) / 1000,
        retry_backoff_ms=values["sasl_login_retry_backoff_ms"],
        retry_backoff_max_ms=values["sasl_login_retry_backoff_max_ms"],
    )
    assertion = _assertion_of(values)
    return OidcClientCredentials(
        endpoint,
        values[PREFIX + "client_credentials_client_id"],
        values[PREFIX + "client_credentials_client_secret"] if assertion is None else None,
        assertion=assertion,
        scope=values[PREFIX + "scope"],
        urlencode_header=values[PREFIX + "header_urlencode"],
        extensions=values[PREFIX + "extensions"],
        principal_claim=values[PREFIX + "sub_claim_name"],
    )


def _assertion_of(values: Mapping[str, Any]) -> Assertion | None:
    """Return what proves who we are instead of a secret; as Java, a file comes first, and then a key."""
    prefix = PREFIX + "assertion_"
    if values[prefix + "file"] is not None:
        from aioproducer.security._assertions import AssertionFile

        return AssertionFile(values[prefix + "file"])
    if values[prefix + "private_key_file"] is None:
        return None
    from aioproducer.security._assertions import Claims, SignedAssertion

    return SignedAssertion(
        values[prefix + "private_key_file"],
        passphrase=values[prefix + "private_key_passphrase"],
        algorithm=values[prefix + "algorithm"],
        claims=Claims(
            audience=values[prefix + "claim_aud"],
            issuer=values[prefix + "claim_iss"],
            subject=values[prefix + "claim_sub"],
            lifetime_seconds=values[prefix + "claim_exp_seconds"],
            not_before_seconds=values[prefix + "claim_nbf_seconds"],
            has_id=values[prefix + "claim_jti_include"],
        ),
        template_file=values[prefix + "template_file"],
    )

"""From settings to the steps that set up each connection: TLS, and logging in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aioproducer._net.setup import NO_STEPS, SetupSteps

if TYPE_CHECKING:
    from aioproducer._config import ProducerConfig
    from aioproducer._net.sasl import KerberosCredentials
    from aioproducer._net.setup import AuthenticateStep, KeepReady, SecureStep
    from aioproducer.security._cache import TokenCache
    from aioproducer.security._providers import TokenProvider
    from aioproducer.security._token import Token


async def prepared_steps(config: ProducerConfig) -> SetupSteps:
    """Return the steps, with the files of TLS read once, so that what is wrong in them is told before all else.

    Raises:
        ConfigurationError: a file cannot be read or used.
    """
    protocol = config.security_protocol
    if protocol == "PLAINTEXT":
        return NO_STEPS
    secure = await _tls(config) if protocol.endswith("SSL") else None
    if not protocol.startswith("SASL"):
        return SetupSteps(secure)
    authenticate, keep_ready = _sasl(config)
    return SetupSteps(secure, authenticate, keep_ready)


# What each needs is imported here: ssl and the providers of tokens are only for those who use them.


async def _tls(config: ProducerConfig) -> SecureStep:
    from aioproducer._net.tls import TlsStep
    from aioproducer._net.tls_context import TlsContexts, tls_settings_of

    step = TlsStep(TlsContexts(config.ssl_context or tls_settings_of(config)))
    await step.prepare()
    return step


def _sasl(config: ProducerConfig) -> tuple[AuthenticateStep, KeepReady | None]:
    """Return the step, and what fetches its credentials ahead where they have to be fetched."""
    from aioproducer._net import sasl

    mechanism, username, password = config.sasl_mechanism, config.sasl_username, config.sasl_password
    credentials: sasl.Credentials | sasl.KerberosCredentials
    keep_ready: KeepReady | None = None
    match mechanism:
        case "PLAIN":
            assert username is not None, "checked with the settings"
            credentials = sasl.plain_credentials(username, password)
        case "SCRAM-SHA-256" | "SCRAM-SHA-512":
            assert username is not None, "checked with the settings"
            is_token = config.sasl_scram_token_auth
            credentials = sasl.scram_credentials(mechanism, username, password, is_delegation_token=is_token)
        case "OAUTHBEARER":
            cache = _token_cache(config)
            credentials, keep_ready = sasl.TokenCredentials(cache), cache.run
        case "GSSAPI":
            credentials = _kerberos(config)
        case _:
            raise AssertionError(f"the settings let {mechanism} through, which is not built")
    return sasl.SaslStep(mechanism, credentials), keep_ready


def _kerberos(config: ProducerConfig) -> KerberosCredentials:
    from aioproducer._net.sasl import KerberosCredentials
    from aioproducer.security._kerberos import KerberosContext, KerberosSettings

    settings = KerberosSettings(
        service_name=config.sasl_kerberos_service_name,
        domain_name=config.sasl_kerberos_domain_name,
        principal=config.sasl_kerberos_principal,
        keytab=config.sasl_kerberos_keytab,
        ticket_cache=config.sasl_kerberos_ticket_cache,
    )
    return KerberosCredentials(partial(KerberosContext, settings))


def _token_cache(config: ProducerConfig) -> TokenCache:
    from aioproducer._config.declared import SETTINGS
    from aioproducer._config.token_provider import token_provider_of
    from aioproducer.security._cache import TokenCache
    from aioproducer.security._refresh import RefreshSettings

    provider = token_provider_of({name: getattr(config, name) for name in SETTINGS})
    return TokenCache(
        partial(_contained, provider),
        settings=RefreshSettings(
            window_factor=config.sasl_login_refresh_window_factor,
            window_jitter=config.sasl_login_refresh_window_jitter,
            min_period_seconds=config.sasl_login_refresh_min_period_seconds,
            buffer_seconds=config.sasl_login_refresh_buffer_seconds,
        ),
        timeout=config.socket_connection_setup_timeout_ms / 1000,
    )


async def _contained(provider: TokenProvider) -> Token:
    """Ask a provider; a BaseException of its own, or a cancellation of somebody else's, is one more failure of it."""
    from aioproducer._backend.ending import ends_this_task
    from aioproducer.security._failures import unavailable

    try:
        return await provider()
    except Exception:
        raise
    except BaseException as error:
        if ends_this_task(error):
            raise
        raise unavailable(f"the token provider raised {type(error).__name__}") from error

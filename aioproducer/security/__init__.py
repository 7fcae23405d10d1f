"""Credentials: what keeps them secret, and what gets tokens for OAUTHBEARER.

A provider is any async callable that returns a `Token`; these ship:

=========================  ==========================================================================================
`OidcClientCredentials`    a token endpoint, with a secret (KIP-768) or a signed statement (KIP-1258)
`JwtBearer`                a token endpoint, with a signed statement alone (KIP-1139)
`TokenFile`                a file that somebody else keeps fresh: Kubernetes, Vault
`AwsMskIam`                Amazon MSK: signed here, with keys of an AWS source
`AzureManagedIdentity`     Azure's virtual machines
`AzureWorkloadIdentity`    Kubernetes on Azure
`GoogleCloud`              Google's Managed Service for Apache Kafka
`UnsecuredToken`           nobody: for development
=========================  ==========================================================================================

`TokenCache` keeps the last token of any of them. They ask in threads of their own, read the environment when they are
called, and ask no address that was not given: link-local ones only where a provider that names one is used.

Each name is imported when it is first used (PEP 562): a program pays for its own provider.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aioproducer._secret import Secret, SecretLike
    from aioproducer.sasl.sigv4 import AwsCredentials
    from aioproducer.security.assertions import Assertion, AssertionFile, Claims, SignedAssertion
    from aioproducer.security.aws import AwsMskIam
    from aioproducer.security.aws_sources import (
        AwsBotocore,
        AwsChain,
        AwsContainer,
        AwsEnvironment,
        AwsInstanceMetadata,
        AwsProfile,
        AwsSource,
        AwsWebIdentity,
    )
    from aioproducer.security.azure import AzureManagedIdentity, AzureWorkloadIdentity
    from aioproducer.security.cache import TokenCache
    from aioproducer.security.endpoint import TokenEndpoint
    from aioproducer.security.google import GoogleCloud
    from aioproducer.security.jwt_bearer import JwtBearer
    from aioproducer.security.oidc import OidcClientCredentials
    from aioproducer.security.providers import TokenProvider, TokenProviderLike, as_provider
    from aioproducer.security.refresh import RefreshSettings
    from aioproducer.security.sources import SecretSource, secret_from
    from aioproducer.security.token import Token, token_from_text
    from aioproducer.security.token_file import TokenFile
    from aioproducer.security.unsecured import UnsecuredToken

_ELSEWHERE = {
    "Assertion": "security.assertions",
    "AssertionFile": "security.assertions",
    "AwsBotocore": "security.aws_sources",
    "AwsChain": "security.aws_sources",
    "AwsContainer": "security.aws_sources",
    "AwsCredentials": "sasl.sigv4",
    "AwsEnvironment": "security.aws_sources",
    "AwsInstanceMetadata": "security.aws_sources",
    "AwsMskIam": "security.aws",
    "AwsProfile": "security.aws_sources",
    "AwsSource": "security.aws_sources",
    "AwsWebIdentity": "security.aws_sources",
    "AzureManagedIdentity": "security.azure",
    "AzureWorkloadIdentity": "security.azure",
    "Claims": "security.assertions",
    "GoogleCloud": "security.google",
    "JwtBearer": "security.jwt_bearer",
    "OidcClientCredentials": "security.oidc",
    "RefreshSettings": "security.refresh",
    "Secret": "_secret",
    "SecretLike": "_secret",
    "SecretSource": "security.sources",
    "SignedAssertion": "security.assertions",
    "Token": "security.token",
    "TokenCache": "security.cache",
    "TokenEndpoint": "security.endpoint",
    "TokenFile": "security.token_file",
    "TokenProvider": "security.providers",
    "TokenProviderLike": "security.providers",
    "UnsecuredToken": "security.unsecured",
    "as_provider": "security.providers",
    "secret_from": "security.sources",
    "token_from_text": "security.token",
}
"""The module of each public name."""

__all__ = [
    "Assertion",
    "AssertionFile",
    "AwsBotocore",
    "AwsChain",
    "AwsContainer",
    "AwsCredentials",
    "AwsEnvironment",
    "AwsInstanceMetadata",
    "AwsMskIam",
    "AwsProfile",
    "AwsSource",
    "AwsWebIdentity",
    "AzureManagedIdentity",
    "AzureWorkloadIdentity",
    "Claims",
    "GoogleCloud",
    "JwtBearer",
    "OidcClientCredentials",
    "RefreshSettings",
    "Secret",
    "SecretLike",
    "SecretSource",
    "SignedAssertion",
    "Token",
    "TokenCache",
    "TokenEndpoint",
    "TokenFile",
    "TokenProvider",
    "TokenProviderLike",
    "UnsecuredToken",
    "as_provider",
    "secret_from",
    "token_from_text",
]


def __getattr__(name: str) -> object:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"aioproducer.{_ELSEWHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

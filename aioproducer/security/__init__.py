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
    from aioproducer.sasl._sigv4 import AwsCredentials
    from aioproducer.security._assertions import Assertion, AssertionFile, Claims, SignedAssertion
    from aioproducer.security._aws import AwsMskIam
    from aioproducer.security._aws_sources import (
        AwsBotocore,
        AwsChain,
        AwsContainer,
        AwsEnvironment,
        AwsInstanceMetadata,
        AwsProfile,
        AwsSource,
        AwsWebIdentity,
    )
    from aioproducer.security._azure import AzureManagedIdentity, AzureWorkloadIdentity
    from aioproducer.security._cache import TokenCache
    from aioproducer.security._endpoint import TokenEndpoint
    from aioproducer.security._google import GoogleCloud
    from aioproducer.security._jwt_bearer import JwtBearer
    from aioproducer.security._oidc import OidcClientCredentials
    from aioproducer.security._providers import TokenProvider, TokenProviderLike, as_provider
    from aioproducer.security._refresh import RefreshSettings
    from aioproducer.security._sources import SecretSource, secret_from
    from aioproducer.security._token import Token, token_from_text
    from aioproducer.security._token_file import TokenFile
    from aioproducer.security._unsecured import UnsecuredToken

_ELSEWHERE = {
    "Assertion": "security._assertions",
    "AssertionFile": "security._assertions",
    "AwsBotocore": "security._aws_sources",
    "AwsChain": "security._aws_sources",
    "AwsContainer": "security._aws_sources",
    "AwsCredentials": "sasl._sigv4",
    "AwsEnvironment": "security._aws_sources",
    "AwsInstanceMetadata": "security._aws_sources",
    "AwsMskIam": "security._aws",
    "AwsProfile": "security._aws_sources",
    "AwsSource": "security._aws_sources",
    "AwsWebIdentity": "security._aws_sources",
    "AzureManagedIdentity": "security._azure",
    "AzureWorkloadIdentity": "security._azure",
    "Claims": "security._assertions",
    "GoogleCloud": "security._google",
    "JwtBearer": "security._jwt_bearer",
    "OidcClientCredentials": "security._oidc",
    "RefreshSettings": "security._refresh",
    "Secret": "_secret",
    "SecretLike": "_secret",
    "SecretSource": "security._sources",
    "SignedAssertion": "security._assertions",
    "Token": "security._token",
    "TokenCache": "security._cache",
    "TokenEndpoint": "security._endpoint",
    "TokenFile": "security._token_file",
    "TokenProvider": "security._providers",
    "TokenProviderLike": "security._providers",
    "UnsecuredToken": "security._unsecured",
    "as_provider": "security._providers",
    "secret_from": "security._sources",
    "token_from_text": "security._token",
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

"""Tokens of Microsoft Entra, for Event Hubs and others: without a secret of our own, on Azure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from aioproducer._public import public_in
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._oauthbearer import check_extensions
from aioproducer.security._answers import FINAL, Retries, token_in
from aioproducer.security._clock import wall_clock_ms
from aioproducer.security._endpoint import TokenEndpoint, ask
from aioproducer.security._failures import refused
from aioproducer.security._http import HttpRequest
from aioproducer.security._oidc import client_assertion
from aioproducer.security._sources import file_secret
from aioproducer.security._urls import metadata_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer._secret import Secret
    from aioproducer.security._token import Token

METADATA: Final = "http://169.254.169.254/metadata/identity/oauth2/token"
AUTHORITY: Final = "https://login.microsoftonline.com"
_FINAL: Final = FINAL - {404, 410}
"""The service is not there yet (404) or is updated (410) for a while: Microsoft says to ask again."""


@public_in("aioproducer.security")
class AzureManagedIdentity:
    """The identity of a virtual machine, from its metadata service (IMDS).

    Example:
        from aioproducer.security import AzureManagedIdentity

        provider = AzureManagedIdentity("https://my-namespace.servicebus.windows.net")
    """

    def __init__(
        self,
        resource: str,
        *,
        client_id: str | None = None,
        address: str = METADATA,
        extensions: Mapping[str, str] | None = None,
    ) -> None:
        """Take what a token is asked for with.

        Args:
            resource: what the token is for, such as an Event Hubs namespace's address.
            client_id: of a user-assigned identity; None: the machine's own.
            address: of the metadata service.
            extensions: sent with each token (KIP-342).

        Raises:
            ConfigurationError: the resource is empty, or an address or extension is not as it should be.
        """
        self._resource = resource
        if not resource:
            raise ConfigurationError("AzureManagedIdentity needs a resource, such as an Event Hubs namespace's address")
        query = {"api-version": "2018-02-01", "resource": resource, **({"client_id": client_id} if client_id else {})}
        self._url = metadata_url("the address of Azure's metadata service", f"{address}?{urlencode(query)}")
        self._extensions = dict(extensions or {})
        check_extensions(self._extensions)

    async def __call__(self) -> Token:
        """Return a token; the service keeps it for hours and gives the same one. Cancel-safe.

        Raises:
            AuthenticationError: there is none; `retriable` says whether asking later may help.
        """
        response = await ask(HttpRequest(self._url, headers={"Metadata": "true"}), Retries(), _FINAL)
        return token_in(self._url.shown, response, now_ms=wall_clock_ms(), extensions=self._extensions)

    def __repr__(self) -> str:
        return f"AzureManagedIdentity({self._resource!r})"


@public_in("aioproducer.security")
class AzureWorkloadIdentity:
    """The identity of a Kubernetes pod: its token, which Azure's webhook puts into a file, is the client's statement.

    Example:
        from aioproducer.security import AzureWorkloadIdentity

        provider = AzureWorkloadIdentity("https://my-namespace.servicebus.windows.net/.default")
    """

    def __init__(
        self,
        scope: str,
        *,
        tenant_id: str | None = None,
        client_id: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        authority: str | None = None,
        extensions: Mapping[str, str] | None = None,
    ) -> None:
        """Take what a token is asked for with; what is None is read from the environment at each call.

        Args:
            scope: what the token is for, such as an Event Hubs namespace's address with "/.default".
            tenant_id: AZURE_TENANT_ID.
            client_id: AZURE_CLIENT_ID.
            token_file: AZURE_FEDERATED_TOKEN_FILE; read at each call.
            authority: AZURE_AUTHORITY_HOST, else Azure's public cloud.
            extensions: sent with each token (KIP-342).

        Raises:
            ConfigurationError: the scope is empty, or an extension is not as it should be.
        """
        self._scope = scope
        if not scope:
            raise ConfigurationError("AzureWorkloadIdentity needs a scope, such as an Event Hubs namespace's/.default")
        self._given = {
            "AZURE_TENANT_ID": tenant_id,
            "AZURE_CLIENT_ID": client_id,
            "AZURE_FEDERATED_TOKEN_FILE": None if token_file is None else os.fspath(token_file),
        }
        self._authority = authority
        self._extensions = dict(extensions or {})
        check_extensions(self._extensions)

    async def __call__(self) -> Token:
        """Return a new token. Cancel-safe.

        Raises:
            AuthenticationError: something of the above is neither given nor in the environment, the file cannot be
                read, or there is no token; `retriable` says whether asking later may help.
            ConfigurationError: the authority is not an https address.
        """
        found = {name: value or os.environ.get(name, "") for name, value in self._given.items()}
        missing = [name for name, value in found.items() if not value]
        if missing:
            raise refused(f"AzureWorkloadIdentity: not in the environment: {', '.join(missing)}")
        authority = self._authority or os.environ.get("AZURE_AUTHORITY_HOST") or AUTHORITY
        endpoint = TokenEndpoint(f"{authority.rstrip('/')}/{found['AZURE_TENANT_ID']}/oauth2/v2.0/token")
        statement = await file_secret(found["AZURE_FEDERATED_TOKEN_FILE"])
        form: dict[str, str | Secret] = {
            "grant_type": "client_credentials",
            "scope": self._scope,
            **client_assertion(found["AZURE_CLIENT_ID"], statement),
        }
        return await endpoint.token(form, extensions=self._extensions)

    def __repr__(self) -> str:
        return f"AzureWorkloadIdentity({self._scope!r})"

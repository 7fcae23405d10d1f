"""Where AWS's keys come from: each source an async callable that returns them, or None when it is not set up here.

Nothing is asked that was not named: `AwsChain()` without arguments reads the environment and what it points to, but the
instance metadata service, a link-local address, only if `AwsInstanceMetadata` is among its sources.
"""

from __future__ import annotations

import configparser
import html
import importlib
import importlib.util
import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlencode

from aioproducer._public import public_in
from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._sigv4 import AwsCredentials
from aioproducer.security._answers import OK, Retries, error_from, object_in
from aioproducer.security._endpoint import ask
from aioproducer.security._failures import refused, unavailable
from aioproducer.security._http import HttpRequest, fetch
from aioproducer.security._sources import file_secret, read_file
from aioproducer.security._threads import run_in_thread
from aioproducer.security._urls import Url, metadata_url, service_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer.security._http import HttpResponse

AwsSource: TypeAlias = Callable[[], Awaitable[AwsCredentials | None]]
"""Returns keys that are good now, or None: this source is not set up. Has to be cancel-safe."""

INSTANCE_METADATA: Final = "http://169.254.169.254"
CONTAINER_HOST: Final = "http://169.254.170.2"
CONTAINER_HOSTS: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost", "127.0.0.1", "::1"})
"""The hosts that may give a container its keys over plain http (as AWS's SDKs)."""

SESSION_NAME: Final = "aioproducer"
"""Fixed: it is part of the principal, which must not change when a session is prolonged (KIP-368)."""

_SECURITY_CREDENTIALS: Final = "/latest/meta-data/iam/security-credentials/"
_ROLE: Final = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)


@public_in("aioproducer.security")
class AwsEnvironment:
    """AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."""

    async def __call__(self) -> AwsCredentials | None:
        """Return the keys that the environment has now."""
        key_id, secret = os.environ.get("AWS_ACCESS_KEY_ID"), Secret(os.environ.get("AWS_SECRET_ACCESS_KEY", ""))
        if not key_id or not secret:
            return None
        return AwsCredentials(key_id, secret, Secret(os.environ.get("AWS_SESSION_TOKEN", "")))


@public_in("aioproducer.security")
class AwsProfile:
    """A profile with keys in AWS's credentials file. Profiles with roles or SSO need `AwsBotocore`."""

    def __init__(self, name: str | None = None, path: str | os.PathLike[str] | None = None) -> None:
        """Name the profile.

        Args:
            name: None: AWS_PROFILE, else "default".
            path: None: AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials.
        """
        self._name = name
        self._path = path

    async def __call__(self) -> AwsCredentials | None:
        """Return the keys that the file has now; None without file or profile. Cancel-safe.

        Raises:
            AuthenticationError: the file cannot be understood, or the profile has no keys.
        """
        return await run_in_thread(self._read)

    def _read(self) -> AwsCredentials | None:
        name = self._name or os.environ.get("AWS_PROFILE") or "default"
        path = Path(self._path or os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
        if not path.exists():
            return None
        profile = _profile(path, name)
        if profile is None:
            return None
        key_id = profile.get("aws_access_key_id", Secret("")).reveal()
        secret = profile.get("aws_secret_access_key", Secret(""))
        if not key_id or not secret:
            raise refused(f"profile {name!r} in {path} has no keys: for roles and SSO use AwsBotocore")
        return AwsCredentials(key_id, secret, profile.get("aws_session_token"))


@public_in("aioproducer.security")
class AwsContainer:
    """The keys of an ECS task or EKS pod (AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI)."""

    async def __call__(self) -> AwsCredentials | None:
        """Return the keys that the container's agent gives. Cancel-safe.

        Raises:
            AuthenticationError: it gives none.
            ConfigurationError: the address is of a host that keys must not come from.
        """
        address = _container_url()
        if address is None:
            return None
        token = Secret(os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""))
        token_file = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        if token_file:
            token = await file_secret(token_file)
        request = HttpRequest(address, headers={"Authorization": token} if token else {})
        return _keys_in(address.shown, await ask(request, Retries()), token_field="Token")


@public_in("aioproducer.security")
class AwsWebIdentity:
    """A role for a token that Kubernetes writes into a file (IRSA on EKS; AssumeRoleWithWebIdentity)."""

    def __init__(
        self,
        *,
        role_arn: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        session_name: str | None = None,
        region: str | None = None,
        sts_url: str | None = None,
    ) -> None:
        """Name the role and the token.

        Args:
            role_arn: None: AWS_ROLE_ARN.
            token_file: read at each call; None: AWS_WEB_IDENTITY_TOKEN_FILE.
            session_name: part of the principal; None: AWS_ROLE_SESSION_NAME, else a fixed one.
            region: whose token service is asked; None: AWS_REGION, else AWS_DEFAULT_REGION.
            sts_url: of another token service than that of the region.
        """
        self._role_arn = role_arn
        self._token_file = token_file
        self._session_name = session_name
        self._region = region
        self._sts_url = sts_url

    async def __call__(self) -> AwsCredentials | None:
        """Return keys of a new session. Cancel-safe.

        Raises:
            AuthenticationError: the token service gives none.
            ConfigurationError: role and token are known, but no region.
        """
        role_arn = self._role_arn or os.environ.get("AWS_ROLE_ARN")
        token_file = self._token_file or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
        if not role_arn or not token_file:
            return None
        url = service_url("the address of AWS's token service", self._sts_url or _sts_url(self._region))
        token = await file_secret(token_file)
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role_arn,
            "RoleSessionName": self._session_name or os.environ.get("AWS_ROLE_SESSION_NAME") or SESSION_NAME,
        }
        body = Secret(f"{urlencode(form)}&{urlencode({'WebIdentityToken': token.reveal()})}")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return _keys_in_xml(url.shown, await ask(HttpRequest(url, "POST", headers, body), Retries()))


@public_in("aioproducer.security")
class AwsInstanceMetadata:
    """The role of an EC2 instance, from its metadata service, version 2. Asked only where this is named."""

    def __init__(self, address: str = INSTANCE_METADATA, *, timeout: float = 2.0) -> None:
        """Name the service.

        Args:
            address: of the service.
            timeout: seconds for each of three requests, repetitions included: outside of EC2 nobody answers.

        Raises:
            ConfigurationError: it is not an http or https address.
        """
        self._address = address.rstrip("/")
        self._timeout = timeout
        metadata_url("the address of the instance metadata service", address)

    async def __call__(self) -> AwsCredentials | None:
        """Return the role's keys; None when the instance has no role. Cancel-safe.

        Raises:
            AuthenticationError: the service does not answer, or not with keys.
        """
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
        session = await self._ask("/latest/api/token", "PUT", lifetime)
        token = {"X-aws-ec2-metadata-token": Secret(session.body.reveal_bytes().strip())}
        roles = await fetch(HttpRequest(self._url(_SECURITY_CREDENTIALS), headers=token, timeout=self._timeout))
        if roles.status == 404:
            return None
        role = roles.body.reveal_bytes().decode(errors="replace").strip()
        if roles.status not in OK or _ROLE.fullmatch(role) is None:
            raise error_from("the instance metadata service", roles)
        return _keys_in(
            "the instance metadata service",
            await self._ask(_SECURITY_CREDENTIALS + role, "GET", token),
            token_field="Token",
        )

    async def _ask(self, path: str, method: str, headers: Mapping[str, str | Secret]) -> HttpResponse:
        request = HttpRequest(self._url(path), method, headers, timeout=self._timeout)
        return await ask(request, Retries(total_ms=int(1000 * self._timeout)))

    def _url(self, path: str) -> Url:
        return metadata_url("the address of the instance metadata service", self._address + path)


@public_in("aioproducer.security")
class AwsBotocore:
    """Whatever botocore finds: profiles with roles, SSO, processes; needs the package `botocore`."""

    def __init__(self, profile: str | None = None) -> None:
        """Name a profile, or leave that to botocore.

        Raises:
            ConfigurationError: botocore is not installed.
        """
        if importlib.util.find_spec("botocore") is None:
            raise ConfigurationError("AwsBotocore needs the package botocore: pip install 'aioproducer[aws]'")
        self._profile = profile
        self._session: Any = None

    async def __call__(self) -> AwsCredentials | None:
        """Return the keys that botocore has, in a thread. Cancel-safe, but what botocore began goes on to its end.

        Raises:
            AuthenticationError: botocore raised (the cause; retriable).
        """
        return await run_in_thread(self._ask)

    def _ask(self) -> AwsCredentials | None:
        try:
            # Kept: botocore prolongs keys itself, and another session would name the roles' sessions anew.
            if self._session is None:
                self._session = importlib.import_module("botocore.session").Session(profile=self._profile)
            found = self._session.get_credentials()
            frozen = None if found is None else found.get_frozen_credentials()
        except Exception as error:
            raise unavailable(f"botocore raised {type(error).__name__}") from error
        return None if frozen is None else AwsCredentials(frozen.access_key, frozen.secret_key, frozen.token)


@public_in("aioproducer.security")
class AwsChain:
    """The first of several sources that is set up."""

    def __init__(self, *sources: AwsSource) -> None:
        """Name them in their order; none: environment, web identity, credentials file, container."""
        self._sources = sources or (AwsEnvironment(), AwsWebIdentity(), AwsProfile(), AwsContainer())

    async def __call__(self) -> AwsCredentials | None:
        """Return the first keys; None when no source is set up. Cancel-safe.

        Raises: as the sources; one that is set up and fails ends the search, so that the keys are always of one origin.
        """
        for source in self._sources:
            found = await source()
            if found is not None:
                return found
        return None


def _profile(path: Path, name: str) -> dict[str, Secret] | None:
    parser = _parsed(read_file(path))
    if parser is None:
        raise refused(f"{path} is not a credentials file: lines are [profile] or name = value")
    return {key: Secret(value) for key, value in parser.items(name)} if parser.has_section(name) else None


def _parsed(text: Secret) -> configparser.RawConfigParser | None:
    """Return the sections of a file, or None; the parser's own error would quote it."""
    parser = configparser.RawConfigParser(default_section="", strict=False)
    try:
        parser.read_string(text.reveal())
    except (configparser.Error, ValueError):
        return None
    return parser


def _container_url() -> Url | None:
    relative = os.environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    full = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if relative:
        return metadata_url("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", f"{CONTAINER_HOST}/{relative.lstrip('/')}")
    if not full:
        return None
    url = metadata_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", full)
    if not url.is_https and url.host not in CONTAINER_HOSTS:
        raise ConfigurationError(f"AWS_CONTAINER_CREDENTIALS_FULL_URI is http to {url.host}, which AWS does not use")
    return url


def _sts_url(region: str | None) -> str:
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ConfigurationError("AWS's token service needs a region: give region, or set AWS_REGION")
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def _keys_in(name: str, response: HttpResponse, *, token_field: str) -> AwsCredentials:
    fields = {key: value for key, value in object_in(name, response).items() if isinstance(value, str)}
    secrets = {key: Secret(fields.get(key, "")) for key in ("SecretAccessKey", token_field)}
    key_id, expiration = fields.get("AccessKeyId", ""), fields.get("Expiration", "")
    del fields
    return _credentials(name, key_id, secrets["SecretAccessKey"], secrets[token_field], expiration)


def _keys_in_xml(name: str, response: HttpResponse) -> AwsCredentials:
    # The values are base64 and times: nothing that needs an XML parser, which could be made to work for long.
    found = {
        key: _xml_text(response.body, key) for key in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    }
    return _credentials(
        name,
        found["AccessKeyId"].reveal(),
        found["SecretAccessKey"],
        found["SessionToken"],
        found["Expiration"].reveal(),
    )


def _xml_text(document: Secret, element: str) -> Secret:
    match = re.search(rf"<{element}>([^<]*)</{element}>".encode(), document.reveal_bytes())
    return Secret(b"" if match is None else html.unescape(match[1].decode(errors="replace")).strip())


def _credentials(name: str, key_id: str, secret: Secret, token: Secret, expiration: str) -> AwsCredentials:
    if not key_id or not secret:
        raise unavailable(f"{name} answered without AccessKeyId and SecretAccessKey")
    return AwsCredentials(key_id, secret, token, expires_at_ms=_time_ms(expiration))


def _time_ms(text: str) -> int | None:
    """Return a time as AWS writes it (ISO 8601, UTC); None for another text."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp() * 1000)

"""AWS Signature Version 4, as far as Kafka needs it: one request, signed in its query, without content.

Pure: the credentials, the host and the time come in, parameters come out. An oracle test compares them with botocore's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from aioproducer._public import public_in
from aioproducer._secret import Secret, SecretLike
from aioproducer.errors import ConfigurationError

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SERVICE: Final = "kafka-cluster"
ACTION: Final = "kafka-cluster:Connect"
LIFETIME_SECONDS: Final = 900
"""How long a signature is good; AWS allows no more for this service."""

_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
_BROKER: Final = re.compile(r".+\.kafka(?:-serverless)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\.?")


@public_in("aioproducer.sasl")
@dataclass(frozen=True, slots=True, init=False)
class AwsCredentials:
    """Keys of AWS. Only the access key id is shown.

    Attributes:
        access_key_id: the public part.
        secret_access_key: what is signed with.
        session_token: of temporary credentials, else None.
        expires_at_ms: wall clock, when they end; None when they don't or nobody knows.
    """

    access_key_id: str
    secret_access_key: Secret = field(repr=False)
    session_token: Secret | None = field(repr=False)
    expires_at_ms: int | None

    def __init__(
        self,
        access_key_id: str,
        secret_access_key: SecretLike,
        session_token: SecretLike | None = None,
        *,
        expires_at_ms: int | None = None,
    ) -> None:
        """Keep the keys; an empty session token counts as none.

        Raises:
            ConfigurationError: the access key id or the secret is empty.
        """
        secret_access_key = Secret(secret_access_key)
        session_token = Secret(session_token or b"") or None
        object.__setattr__(self, "access_key_id", access_key_id)
        object.__setattr__(self, "secret_access_key", secret_access_key)
        object.__setattr__(self, "session_token", session_token)
        object.__setattr__(self, "expires_at_ms", expires_at_ms)
        if not access_key_id or not secret_access_key:
            raise ConfigurationError("AWS credentials need an access key id and a secret access key: one is empty")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request for `https://<host>/` with its signature.

    Attributes:
        host: what it was signed for.
        parameters: of the query, by name, not encoded; without the session token and the signature.
        session_token: the parameter X-Amz-Security-Token, or None.
        signature: hexadecimal.
        canonical_sha256: hexadecimal, of the canonical request: what differs when two signatures do.
        expires_at_ms: wall clock.
    """

    host: str
    parameters: dict[str, str] = field(repr=False)
    session_token: Secret | None
    signature: str = field(repr=False)
    canonical_sha256: str
    expires_at_ms: int

    def query(self) -> str:
        """Return the query, encoded, with the signature; it holds the session token."""
        return f"{_encoded(self.all_parameters())}&X-Amz-Signature={self.signature}"

    def all_parameters(self) -> dict[str, str]:
        """Return the parameters with the session token, sorted as they are signed; without the signature."""
        token = {} if self.session_token is None else {"X-Amz-Security-Token": self.session_token.reveal()}
        return dict(sorted({**self.parameters, **token}.items()))


def sign(credentials: AwsCredentials, *, host: str, region: str, timestamp_ms: int) -> SignedRequest:
    """Sign the request to connect to a Kafka cluster.

    Args:
        credentials: whose request it is.
        host: without port.
        region: of the cluster, such as "eu-central-1".
        timestamp_ms: wall clock; AWS accepts a few minutes of difference to its own.

    Raises:
        ConfigurationError: the region does not look like one, or the host is not ASCII.
    """
    if _REGION.fullmatch(region) is None:
        raise ConfigurationError(f"{region!r} is not the name of an AWS region, such as 'eu-central-1'")
    if not host.isascii():
        raise ConfigurationError(f"{host!a} is not the name of a host of AWS: it is not ASCII")
    time = datetime.fromtimestamp(timestamp_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{time[:8]}/{region}/{SERVICE}/aws4_request"
    unsigned = SignedRequest(
        host=host,
        parameters={
            "Action": ACTION,
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
            "X-Amz-Date": time,
            "X-Amz-Expires": str(LIFETIME_SECONDS),
            "X-Amz-SignedHeaders": "host",
        },
        session_token=credentials.session_token,
        signature="",
        canonical_sha256="",
        expires_at_ms=(timestamp_ms // 1000 + LIFETIME_SECONDS) * 1000,
    )
    canonical_sha256 = _canonical_sha256(unsigned)
    to_sign = f"{ALGORITHM}\n{time}\n{scope}\n{canonical_sha256}"
    signature = hmac.digest(_signing_key(credentials, scope).reveal_bytes(), to_sign.encode(), "sha256").hex()
    return replace(unsigned, signature=signature, canonical_sha256=canonical_sha256)


def oauth_token(credentials: AwsCredentials, *, region: str, timestamp_ms: int, user_agent: str) -> tuple[Secret, int]:
    """Return a token with which OAUTHBEARER logs in to Amazon MSK, and when it expires (wall clock, milliseconds).

    It is the signed address of the region's Kafka service, in base64url without padding; the user agent is added after
    signing, as AWS's own signers do.

    Args:
        credentials: who logs in.
        region: of the cluster; see `region_of`.
        timestamp_ms: wall clock.
        user_agent: name and version of the client, which AWS puts in its logs.

    Raises:
        ConfigurationError: as `sign`.
    """
    request = sign(credentials, host=f"kafka.{region}.amazonaws.com", region=region, timestamp_ms=timestamp_ms)
    agent = _quoted(user_agent)
    url = Secret(f"https://{request.host}/?{request.query()}&User-Agent={agent}")
    return Secret(base64.urlsafe_b64encode(url.reveal_bytes()).rstrip(b"=")), request.expires_at_ms


@public_in("aioproducer.sasl")
def region_of(host: str) -> str | None:
    """Return the AWS region in the name of an MSK broker, or None: private names hide it.

    Example:
        >>> region_of("b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com")
        'us-east-1'
    """
    match = _BROKER.fullmatch(host.lower())
    return None if match is None else match["region"]


def _canonical_sha256(request: SignedRequest) -> str:
    canonical = f"GET\n/\n{_encoded(request.all_parameters())}\nhost:{request.host}\n\nhost\n{_EMPTY}"
    return hashlib.sha256(canonical.encode()).hexdigest()


def _signing_key(credentials: AwsCredentials, scope: str) -> Secret:
    key = Secret(b"AWS4" + credentials.secret_access_key.reveal_bytes())
    for part in scope.split("/"):
        key = Secret(hmac.digest(key.reveal_bytes(), part.encode(), "sha256"))
    return key


def _encoded(parameters: dict[str, str]) -> str:
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in parameters.items())


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")

"""AWS_MSK_IAM: the mechanism of Amazon's first IAM login for Kafka, a signed request as JSON.

OAUTHBEARER with a token of `aioproducer.sasl._sigv4.oauth_token` is the newer form, and the one that AWS's signers for
other languages use; `aioproducer.security.AwsMskIam` makes such tokens. Both want TLS.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from aioproducer._public import public_in
from aioproducer.sasl._sigv4 import AwsCredentials, sign
from aioproducer.sasl._turns import Exchange

if TYPE_CHECKING:
    from aioproducer.sasl._sigv4 import SignedRequest

AWS_MSK_IAM: Final = "AWS_MSK_IAM"
VERSION: Final = "2020_10_22"


@public_in("aioproducer.sasl")
class AwsMskIamMechanism:
    """The mechanism AWS_MSK_IAM: one message, and an answer with AWS's request id.

    Example:
        >>> from aioproducer.sasl import AwsCredentials
        >>> credentials = AwsCredentials("AKIDEXAMPLE", "the-secret")
        >>> time = {"timestamp_ms": 1767323045_000}
        >>> mechanism = AwsMskIamMechanism(credentials, host="b-1", region="us-east-1", user_agent="demo/1", **time)
        >>> b'"host":"b-1"' in mechanism.first()
        True
        >>> mechanism.next(b'{"version":"2020_10_22","request-id":"7f3a"}'), mechanism.request_id
        (None, '7f3a')
    """

    __slots__ = ("_access_key_id", "_exchange", "_host", "_request", "_user_agent", "request_id")

    def __init__(
        self, credentials: AwsCredentials, *, host: str, region: str, timestamp_ms: int, user_agent: str
    ) -> None:
        """Sign the login.

        Args:
            credentials: who logs in.
            host: of the broker that is connected to, by name and without port.
            region: of the cluster; see `region_of`.
            timestamp_ms: wall clock.
            user_agent: name and version of the client, which AWS puts in its logs.

        Raises:
            ConfigurationError: the region does not look like one.
        """
        self._exchange = Exchange(AWS_MSK_IAM)
        self._access_key_id = credentials.access_key_id
        self._host = host
        self._request: SignedRequest = sign(credentials, host=host, region=region, timestamp_ms=timestamp_ms)
        self._user_agent = user_agent
        self.request_id: str = ""

    @property
    def name(self) -> str:
        """AWS_MSK_IAM."""
        return AWS_MSK_IAM

    @property
    def hint(self) -> str:
        """What a refusal means."""
        return (
            f"the IAM policy of access key {self._access_key_id} lacks kafka-cluster:Connect, its credentials have"
            " expired, or this host's clock is wrong"
        )

    def first(self) -> bytes:
        """Return the only message; it holds the session token."""
        self._exchange.begin()
        message = {
            "version": VERSION,
            "host": self._request.host,
            "user-agent": self._user_agent,
            **{name.lower(): value for name, value in self._request.all_parameters().items()},
            "x-amz-signature": self._request.signature,
        }
        return json.dumps(message, separators=(",", ":")).encode()

    def next(self, challenge: bytes) -> None:
        """Take the answer, which is JSON; afterwards `request_id` is what AWS's support asks for.

        Raises:
            AuthenticationError: the answer is empty, which is how a broker refuses here.
            ProtocolError: it is not JSON.
        """
        self._exchange.answered()
        if not challenge:
            raise self._exchange.refused(f"the broker's answer is empty, which is a refusal: {self.hint}")
        request_id = self._exchange.json(challenge).get("request-id")
        if isinstance(request_id, str):
            self.request_id = request_id

    def __repr__(self) -> str:
        return f"AwsMskIamMechanism(access_key_id={self._access_key_id!r}, host={self._host!r})"

"""Tokens for Amazon MSK, signed here: IAM decides who may log in, and the broker never sees a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from aioproducer._public import public_in
from aioproducer._version import __version__
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._sigv4 import AwsCredentials, oauth_token, region_of
from aioproducer.security._aws_sources import AwsChain, AwsSource
from aioproducer.security._clock import wall_clock_ms
from aioproducer.security._failures import refused
from aioproducer.security._token import Token

if TYPE_CHECKING:
    from typing import Self

AwsCredentialsLike: TypeAlias = AwsCredentials | AwsSource
"""Keys that stay, or where they come from."""

USER_AGENT: Final = f"aioproducer/{__version__}"

RENEWED_WITH_LESS_THAN_MS: Final = 300_000
"""With less left keys are asked for anew: MSK gives no longer session than its keys have ("Session too short")."""


@public_in("aioproducer.security")
class AwsMskIam:
    """IAM for Amazon MSK by OAUTHBEARER, as AWS's own signers for it do. A token is good for 15 minutes.

    Example:
        from aioproducer.security import AwsChain, AwsEnvironment, AwsInstanceMetadata, AwsMskIam

        provider = AwsMskIam("eu-central-1")
        on_ec2 = AwsMskIam("eu-central-1", AwsChain(AwsEnvironment(), AwsInstanceMetadata()))
    """

    def __init__(
        self, region: str, credentials: AwsCredentialsLike | None = None, *, user_agent: str = USER_AGENT
    ) -> None:
        """Take what tokens are signed with.

        Args:
            region: of the cluster.
            credentials: keys, or a source of them; None: `AwsChain()`.
            user_agent: what AWS's logs call this client.

        Raises:
            ConfigurationError: the region is empty.
        """
        self._region = region
        if not region:
            raise ConfigurationError("AwsMskIam needs the region of the cluster, such as 'eu-central-1'")
        self._source = AwsChain() if credentials is None else credentials
        self._user_agent = user_agent
        self._credentials: AwsCredentials | None = None

    @classmethod
    def for_broker(cls, host: str, credentials: AwsCredentialsLike | None = None) -> Self:
        """Return a provider for the region in a broker's name.

        Args:
            host: such as b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com; private names have no region in them.
            credentials: as of the constructor.

        Raises:
            ConfigurationError: there is none in it.

        Example:
            >>> from aioproducer.security import AwsMskIam
            >>> AwsMskIam.for_broker("b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com")
            AwsMskIam('us-east-1')
        """
        region = region_of(host)
        if region is None:
            raise ConfigurationError(f"the name of {host} has no AWS region in it: give the region itself")
        return cls(region, credentials)

    async def __call__(self) -> Token:
        """Return a new token; its keys are asked for anew when they have less than five minutes left. Cancel-safe.

        Raises:
            AuthenticationError: there are no keys.
            ConfigurationError: the region does not look like one.
        """
        credentials = await self._present()
        value, expires_at_ms = oauth_token(
            credentials, region=self._region, timestamp_ms=wall_clock_ms(), user_agent=self._user_agent
        )
        if credentials.expires_at_ms is not None:
            expires_at_ms = min(expires_at_ms, credentials.expires_at_ms)
        return Token(value, expires_at_ms=expires_at_ms, principal=credentials.access_key_id)

    async def _present(self) -> AwsCredentials:
        if isinstance(self._source, AwsCredentials):
            return self._source
        known = self._credentials
        if known is not None and is_good_for_long(known, now_ms=wall_clock_ms()):
            return known
        found = await self._source()
        if found is None:
            raise refused(f"no AWS credentials: {type(self._source).__name__} found none that are set up here")
        self._credentials = found
        return found

    def __repr__(self) -> str:
        return f"AwsMskIam({self._region!r})"


def is_good_for_long(credentials: AwsCredentials, *, now_ms: int) -> bool:
    """Return whether keys need not be asked for again; those without a known end are, since only their source knows."""
    return credentials.expires_at_ms is not None and credentials.expires_at_ms - now_ms >= RENEWED_WITH_LESS_THAN_MS

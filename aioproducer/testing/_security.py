"""How clients come in: TLS, SASL, users and ACLs of an embedded cluster, as settings and as verbs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, get_args

from aioproducer._wire.messages import ApiKey
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import CLUSTER_NAME, Entry, Operation, Resource
from aioproducer.testing._broker.sasl import MECHANISMS
from aioproducer.testing._broker.tokens import TokenValidator, unsecured_token
from aioproducer.testing._certificates import HOSTS, Certificates, ClientAuth, ClientCertificate
from aioproducer.testing._faults import FaultHandle, FaultVerbs

if TYPE_CHECKING:
    from datetime import datetime

    from aioproducer.testing._broker.users import DelegationToken

SecurityProtocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
OperationName: TypeAlias = Literal[
    "ALL",
    "READ",
    "WRITE",
    "CREATE",
    "DELETE",
    "ALTER",
    "DESCRIBE",
    "CLUSTER_ACTION",
    "DESCRIBE_CONFIGS",
    "ALTER_CONFIGS",
    "IDEMPOTENT_WRITE",
]
_TOKEN_SECONDS: Final = 3600.0
_OF_SASL: Final = ("users", "validate_token", "scram_iterations", "connections_max_reauth_ms")
_OLDEST_ITERATIONS: Final = 4_096  # Kafka takes no fewer


class SecuritySettings(TypedDict, total=False):
    """What an embedded cluster can be told about who comes in; see EmbeddedCluster."""

    security_protocol: SecurityProtocol
    ssl_client_auth: ClientAuth
    sasl_mechanisms: Sequence[str]
    users: Mapping[str, str]
    validate_token: TokenValidator
    scram_iterations: int
    connections_max_reauth_ms: int
    connection_failed_authentication_delay_ms: int
    deny_by_default: bool


@dataclass(frozen=True, slots=True)
class Security:
    """The settings, checked.

    Attributes:
        mechanisms: those that are enabled; none without SASL.
    """

    protocol: SecurityProtocol
    client_auth: ClientAuth
    mechanisms: tuple[str, ...]

    @property
    def has_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.protocol in ("SSL", "SASL_SSL")

    @classmethod
    def of(cls, settings: SecuritySettings) -> Security:
        """Check the settings.

        Raises:
            ValueError: they contradict each other, or one is not known.
        """
        protocol = settings.get("security_protocol", "PLAINTEXT")
        if protocol not in get_args(SecurityProtocol):
            raise ValueError(f"security_protocol={protocol!r} is none of {', '.join(get_args(SecurityProtocol))}")
        has_sasl = protocol.startswith("SASL_")
        mechanisms = tuple(settings.get("sasl_mechanisms", MECHANISMS if has_sasl else ()))
        unknown = [each for each in mechanisms if each not in MECHANISMS]
        if unknown:
            raise ValueError(f"sasl_mechanisms: {', '.join(unknown)} not known; there are {', '.join(MECHANISMS)}")
        if bool(mechanisms) != has_sasl:
            raise ValueError(f"sasl_mechanisms={list(mechanisms)} does not go with security_protocol={protocol}")
        if not has_sasl:
            lost = [name for name in _OF_SASL if name in settings]
            if lost:
                raise ValueError(f"{', '.join(lost)} does not go with security_protocol={protocol}: it has no SASL")
        made = cls(protocol, settings.get("ssl_client_auth", "none"), mechanisms)
        if made.client_auth not in get_args(ClientAuth):
            raise ValueError(f"ssl_client_auth={made.client_auth!r} is none of {', '.join(get_args(ClientAuth))}")
        if made.client_auth != "none" and not made.has_tls:
            raise ValueError(f"ssl_client_auth={made.client_auth} does not go with security_protocol={protocol}")
        if settings.get("scram_iterations", _OLDEST_ITERATIONS) < _OLDEST_ITERATIONS:
            raise ValueError(f"scram_iterations={settings.get('scram_iterations')}; Kafka takes no fewer than 4096")
        return made


class SecurityVerbs(FaultVerbs):
    """The verbs, and what clients need to come in."""

    _security: Security

    @property
    def bootstrap_servers(self) -> list[str]:
        """ "host:port" of every broker, the stopped ones included."""
        raise NotImplementedError

    # ── what clients need ──

    @property
    def client_settings(self) -> dict[str, Any]:
        """Everything that a producer needs to come in, as the first user: `Producer(**cluster.client_settings)`."""
        return self.settings_for()

    def settings_for(self, user: str | None = None, mechanism: str | None = None) -> dict[str, Any]:
        """The settings of a producer of a user's.

        Args:
            user: with SASL one of the users, by default the first; without it the name in a client certificate.
            mechanism: of SASL; by default the first that is enabled.

        Raises:
            KeyError: there is no such user.
        """
        security = self._security
        settings: dict[str, Any] = {"bootstrap_servers": self.bootstrap_servers}
        if security.protocol != "PLAINTEXT":
            settings["security_protocol"] = security.protocol
        if security.has_tls:
            settings["ssl_truststore_location"] = self.ca_file
        is_named = user is not None and not security.mechanisms
        if security.client_auth == "required" or (security.client_auth == "requested" and is_named):
            certificate = self.client_certificate(user or "client")
            settings |= {"ssl_certfile": certificate.certfile, "ssl_keyfile": certificate.keyfile}
        if security.mechanisms:
            settings |= self._sasl_settings(user, mechanism or security.mechanisms[0])
        return settings

    def _sasl_settings(self, user: str | None, mechanism: str) -> dict[str, Any]:
        users = self._server.core.state.users
        name = user if user is not None else next(iter(users.names()), None)
        if name is None:
            raise KeyError('the cluster has no users; make it with users={"alice": "secret"}')
        if mechanism == "OAUTHBEARER":
            return {"sasl_mechanism": mechanism, "sasl_oauth_token_provider": self._token_provider(name)}
        return {"sasl_mechanism": mechanism, "sasl_username": name, "sasl_password": users.password(name)}

    def _token_provider(self, user: str) -> Callable[[], Awaitable[str]]:
        async def provide() -> str:
            return self.oauth_token(user)

        return provide

    @property
    def ca_file(self) -> str:
        """The path of the authority's certificate, PEM: what clients must trust. It changes with a new authority."""
        return self._certificates.ca_file

    def client_certificate(self, common_name: str) -> ClientCertificate:
        """A new certificate for a client, signed by the cluster's authority."""
        return self._do(lambda: self._certificates.issue(common_name))

    def oauth_token(self, user: str, *, lifetime: float = _TOKEN_SECONDS, **claims: object) -> str:
        """An unsecured token, good for so many seconds: what the brokers accept unless told by validate_token."""
        return unsecured_token(user, int(time.time() * 1000), lifetime, claims)

    def create_delegation_token(self, owner: str, *, lifetime: float = _TOKEN_SECONDS) -> DelegationToken:
        """A token that logs in for its owner with SCRAM, its id as user and its HMAC as password (KIP-48)."""
        state = self._server.core.state
        return self._do(lambda: state.users.add_token(owner, state.wall_ms + int(lifetime * 1000)))

    # ── who comes in ──

    def set_user(self, name: str, password: str, mechanisms: Sequence[str] | None = None) -> None:
        """Add a user, or change the password. Connections that are authenticated stay.

        Args:
            mechanisms: those that the user may log in with; None for all.
        """
        self._do(lambda: self._server.core.state.users.set(name, password, mechanisms))

    def remove_user(self, name: str) -> None:
        """Remove a user. Connections that are authenticated stay."""
        self._do(lambda: self._server.core.state.users.remove(name))

    def reject_auth(
        self,
        *,
        times: int | None = 1,
        error: ErrorCode | str = ErrorCode.SASL_AUTHENTICATION_FAILED,
        broker: int | None = None,
    ) -> FaultHandle:
        """Refuse the next clients that authenticate, whatever their credentials; renewed sessions are struck, too."""
        return self.fail_next(error, times=times, api=ApiKey.SASL_AUTHENTICATE, broker=broker)

    def expire_sessions(self) -> int:
        """End the sessions of all who have authenticated with SASL: the next request closes the connection, unless it
        begins to renew the session. Returns how many there were.
        """
        return self._do(lambda: self._server.core.expire_sessions())

    def rotate_certificate(
        self, hosts: Sequence[str] = HOSTS, *, not_after: datetime | None = None, new_authority: bool = False
    ) -> None:
        """Give the brokers another certificate, which new connections see.

        Args:
            hosts: the names and addresses in it; others than the brokers' make clients refuse it.
            not_after: when it expires; a time that has passed makes one that has expired.
            new_authority: signed by another authority: `ca_file` has that one from now on.
        """
        self._do(lambda: self._certificates.rotate(hosts, not_after=not_after, new_authority=new_authority))

    # ── who may do what ──

    def deny(
        self,
        user: str,
        operation: OperationName,
        topic: str | None = None,
        *,
        group: str | None = None,
        transactional_id: str | None = None,
        cluster: bool = False,
    ) -> None:
        """Deny an operation on one thing; "*" is every user, topic, group or transactional id.

        Args:
            user: a name, or a whole principal such as "User:CN=alice,OU=testing,O=clients".
        """
        entry = _entry(user, operation, topic, group, transactional_id, cluster=cluster)
        self._do(lambda: self._server.core.state.acls.deny(entry))

    def allow(
        self,
        user: str,
        operation: OperationName,
        topic: str | None = None,
        *,
        group: str | None = None,
        transactional_id: str | None = None,
        cluster: bool = False,
    ) -> None:
        """Allow what was denied, or, where everything is denied by default, an operation on one thing; see `deny`."""
        entry = _entry(user, operation, topic, group, transactional_id, cluster=cluster)
        self._do(lambda: self._server.core.state.acls.allow(entry))

    @property
    def _certificates(self) -> Certificates:
        found = self._server.certificates
        if found is None:
            raise ValueError("the cluster has no TLS; make it with security_protocol='SSL' or 'SASL_SSL'")
        return found


def _entry(
    user: str,
    operation: str,
    topic: str | None,
    group: str | None,
    transactional_id: str | None,
    *,
    cluster: bool,
) -> Entry:
    named = {
        Resource.TOPIC: topic,
        Resource.GROUP: group,
        Resource.TRANSACTIONAL_ID: transactional_id,
        Resource.CLUSTER: CLUSTER_NAME if cluster else None,
    }
    chosen = [(resource, name) for resource, name in named.items() if name is not None]
    if len(chosen) != 1:
        raise TypeError("an ACL is about one of: a topic, group=, transactional_id=, cluster=True")
    if operation not in Operation.__members__:
        raise ValueError(f"operation {operation!r} is none of {', '.join(Operation.__members__)}")
    (found,) = chosen
    principal = user if user.startswith("User:") else f"User:{user}"
    return Entry(principal, Operation[operation], *found)

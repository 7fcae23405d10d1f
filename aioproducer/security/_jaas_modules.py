"""The five login modules of `sasl.jaas.config`: which mechanism each belongs to, and what its options are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from aioproducer._secret import Secret, SecretLike
from aioproducer.errors import ConfigurationError
from aioproducer.security._jaas import parse_jaas

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aioproducer.security._jaas import JaasEntry


@dataclass(frozen=True, slots=True)
class PlainLogin:
    """PlainLoginModule."""

    username: str
    password: Secret


@dataclass(frozen=True, slots=True)
class ScramLogin:
    """ScramLoginModule.

    Attributes:
        username: the user, or the id of a delegation token.
        password: the password, or the token's HMAC.
        is_delegation_token: the option tokenauth (KIP-48).
    """

    username: str
    password: Secret
    is_delegation_token: bool = False


@dataclass(frozen=True, slots=True)
class OAuthLogin:
    """OAuthBearerLoginModule, with the options of Kafka's handlers and of Strimzi's.

    Attributes:
        client_id, client_secret, scope: of the grant client_credentials; None when not given.
        token_endpoint_url: Strimzi's; Kafka has a setting of its own for it.
        access_token: Strimzi's: a token that is given as it is.
        extensions: of the options extension_<name> (KIP-342).
        unsecured: claims of a token without signature, for development, by the rest of their option's name after
            "unsecuredLogin", such as "StringClaim_sub".
    """

    client_id: str | None = None
    client_secret: Secret | None = None
    scope: str | None = None
    token_endpoint_url: str | None = None
    access_token: Secret | None = None
    extensions: Mapping[str, str] = field(default_factory=dict[str, str])
    unsecured: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class IamLogin:
    """IAMLoginModule of Amazon MSK; None when not given."""

    profile_name: str | None = None
    role_arn: str | None = None
    role_session_name: str | None = None
    role_external_id: str | None = None
    sts_region: str | None = None
    role_access_key_id: str | None = None
    role_secret_access_key: Secret | None = None
    role_session_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class KerberosLogin:
    """Krb5LoginModule; None when not given."""

    keytab: str | None = None
    principal: str | None = None
    service_name: str | None = None
    ticket_cache: str | None = None
    use_ticket_cache: bool = False


WITHOUT_MEANING: Final = frozenset(
    {
        "awsDebugCreds",
        "awsMaxBackOffTimeMs",
        "awsMaxRetries",
        "debug",
        "doNotPrompt",
        "isInitiator",
        "keyTab",
        "refreshKrb5Config",
        "renewTicket",
        "serviceName",
        "storeKey",
        "useKeyTab",
    }
)
"""Options of the five modules that are known, and about how Java goes about it."""

Login: TypeAlias = PlainLogin | ScramLogin | OAuthLogin | IamLogin | KerberosLogin


@dataclass(frozen=True, slots=True)
class JaasLogin:
    """What a JAAS configuration comes to.

    Attributes:
        login: the credentials.
        mechanisms: those that the login module is for.
        ignored: names of options that mean nothing here; of one that is not known at all its number, from 1 on, as it
            may be the rest of a value that should have been in quotes.
    """

    login: Login
    mechanisms: frozenset[str]
    ignored: tuple[str, ...]


def read_jaas(config: SecretLike, mechanism: str | None = None) -> JaasLogin:
    """Read a JAAS configuration, and what its login module means.

    Args:
        config: sasl.jaas.config.
        mechanism: sasl.mechanism, which the module has to fit; None: not known yet.

    Raises:
        ConfigurationError: it is not well-formed, or its module is none of the five, does not fit the mechanism, or
            lacks an option; no value is shown.
    """
    config = Secret(config)  # the argument is not to be seen in a traceback
    entry = parse_jaas(config)
    module = entry.login_module.rpartition(".")[2]
    found = _MODULES.get(module)
    if found is None:
        raise ConfigurationError(
            f"sasl.jaas.config: unknown login module; known are {', '.join(_MODULES)}. Give sasl_… settings instead"
        )
    mechanisms, read = found
    if mechanism is not None and mechanism not in mechanisms:
        raise ConfigurationError(
            f"sasl.jaas.config: {module} is for {' and '.join(sorted(mechanisms))}, and sasl.mechanism is {mechanism!r}"
        )
    options = _Options(module, entry)
    login = read(options)
    return JaasLogin(login, mechanisms, options.unused())


class _Options:
    """The options of an entry; those that nobody asked for are told at the end."""

    def __init__(self, module: str, entry: JaasEntry) -> None:
        self._module = module
        self._options = entry.options
        self._used: set[str] = set()

    def secret(self, *names: str) -> Secret | None:
        """Return the first that is given, of several names of one option."""
        self._used.update(names)
        return next((self._options[name] for name in names if name in self._options), None)

    def text(self, *names: str) -> str | None:
        found = self.secret(*names)
        return None if found is None else found.reveal()

    def needed(self, name: str) -> Secret:
        found = self.secret(name)
        if not found:
            raise ConfigurationError(f"sasl.jaas.config: {self._module} needs the option {name}")
        return found

    def flag(self, name: str) -> bool:
        return (self.text(name) or "").lower() == "true"

    def with_prefix(self, prefix: str) -> dict[str, str]:
        """Return those that nobody has asked for yet, by the rest of their names."""
        found = [name for name in self._options if name.startswith(prefix) and name not in self._used]
        self._used.update(found)
        return {name.removeprefix(prefix): self._options[name].reveal() for name in found}

    def unused(self) -> tuple[str, ...]:
        return tuple(
            name if name in WITHOUT_MEANING else f"option {number}"
            for number, name in enumerate(self._options, 1)
            if name not in self._used
        )


def _plain(options: _Options) -> PlainLogin:
    if options.with_prefix("user_"):
        raise ConfigurationError(
            "sasl.jaas.config: options user_… of PlainLoginModule are the broker's list of users; a client has username"
            " and password"
        )
    return PlainLogin(options.needed("username").reveal(), options.needed("password"))


def _scram(options: _Options) -> ScramLogin:
    return ScramLogin(
        options.needed("username").reveal(), options.needed("password"), is_delegation_token=options.flag("tokenauth")
    )


def _oauth(options: _Options) -> OAuthLogin:
    return OAuthLogin(
        client_id=options.text("clientId", "oauth.client.id"),
        client_secret=options.secret("clientSecret", "oauth.client.secret"),
        scope=options.text("scope", "oauth.scope"),
        token_endpoint_url=options.text("oauth.token.endpoint.uri"),
        access_token=options.secret("oauth.access.token"),
        extensions={**options.with_prefix("extension_"), **options.with_prefix("unsecuredLoginExtension_")},
        unsecured=options.with_prefix("unsecuredLogin"),
    )


def _iam(options: _Options) -> IamLogin:
    return IamLogin(
        profile_name=options.text("awsProfileName"),
        role_arn=options.text("awsRoleArn"),
        role_session_name=options.text("awsRoleSessionName"),
        role_external_id=options.text("awsRoleExternalId"),
        sts_region=options.text("awsStsRegion"),
        role_access_key_id=options.text("awsRoleAccessKeyId"),
        role_secret_access_key=options.secret("awsRoleSecretAccessKey"),
        role_session_token=options.secret("awsRoleSessionToken"),
    )


def _kerberos(options: _Options) -> KerberosLogin:
    return KerberosLogin(
        keytab=options.text("keyTab") if options.flag("useKeyTab") else None,  # as Java: without useKeyTab it is unused
        principal=options.text("principal"),
        service_name=options.text("serviceName"),
        ticket_cache=options.text("ticketCache"),
        use_ticket_cache=options.flag("useTicketCache"),
    )


_MODULES: Final[dict[str, tuple[frozenset[str], Callable[[_Options], Login]]]] = {
    "PlainLoginModule": (frozenset({"PLAIN"}), _plain),
    "ScramLoginModule": (frozenset({"SCRAM-SHA-256", "SCRAM-SHA-512"}), _scram),
    "OAuthBearerLoginModule": (frozenset({"OAUTHBEARER"}), _oauth),
    "IAMLoginModule": (frozenset({"AWS_MSK_IAM"}), _iam),
    "Krb5LoginModule": (frozenset({"GSSAPI"}), _kerberos),
}
"""By the last part of the class's name: they are the same in packages that others have made of them."""

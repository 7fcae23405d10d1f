"""The settings of TLS and SASL that contradict each other, and what follows from sasl.jaas.config.

No sentence in here has the value of a setting in it that may be secret.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from aioproducer._config.kerberos_rules import check_kerberos, take_kerberos_login
from aioproducer._config.security_kinds import MECHANISMS
from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Set

    from aioproducer._config.rules import Findings
    from aioproducer.security._jaas_modules import IamLogin, OAuthLogin

VERIFICATION: Final = "enable_ssl_certificate_verification"
_OAUTH: Final = "sasl_oauthbearer_"
_CLIENT_ID: Final = _OAUTH + "client_credentials_client_id"
_CLIENT_SECRET: Final = _OAUTH + "client_credentials_client_secret"
_ENDPOINT: Final = _OAUTH + "token_endpoint_url"
_PROVIDER: Final = "sasl_oauth_token_provider"
_FILES: Final = (
    "ssl_truststore_location",
    "ssl_keystore_location",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_crlfile",
    _OAUTH + "assertion_file",
    _OAUTH + "assertion_private_key_file",
    _OAUTH + "assertion_template_file",
    "sasl_kerberos_keytab",
)
_OPENED: Final = {
    "ssl_truststore_password": ("ssl_truststore_location",),
    "ssl_keystore_password": ("ssl_keystore_location",),
    "ssl_key_password": ("ssl_keystore_location", "ssl_keystore_key", "ssl_certfile"),
}
_WITH_KEY: Final = frozenset(
    {"ssl_keystore_location", "ssl_keyfile", _OAUTH + "assertion_private_key_file", "sasl_kerberos_keytab"}
)


def apply_security_rules(found: Findings, changed: Set[str], broken: Set[str]) -> None:
    """Check what was given about security, and fill in what follows.

    Args:
        found: is added to.
        changed: the settings of security whose value is not the default.
        broken: settings whose own value is wrong; nothing more is said about them, nor about what they decide.
    """
    if "security_protocol" in broken:
        return
    protocol: str = found.values["security_protocol"]
    if _needs_other_protocol(found, changed, protocol):
        return
    if protocol.endswith("SSL"):
        _tls(found, changed)
    if protocol.startswith("SASL") and "sasl_mechanism" not in broken:
        _login(found, broken, protocol)
    _files(found, broken)  # last: sasl_jaas_config may have named some


def _needs_other_protocol(found: Findings, changed: Set[str], protocol: str) -> bool:
    """Everybody's first mistake: credentials, and a protocol that does not use them."""
    sasl = [name for name in changed if name.startswith("sasl_")]
    tls = [name for name in changed if name.startswith(("ssl_", "enable_ssl_"))]
    if sasl and not protocol.startswith("SASL"):
        other = "SASL_SSL" if protocol == "SSL" else "SASL_SSL (or SASL_PLAINTEXT)"
        found.problems.append(
            f"security_protocol is {protocol}, which does not log in, but {_some(sasl)} given; did you mean {other}?"
        )
    if tls and not protocol.endswith("SSL"):
        other = "SASL_SSL" if protocol.startswith("SASL") or sasl else "SSL"
        found.problems.append(
            f"security_protocol is {protocol}, which is without TLS, but {_some(tls)} given; did you mean {other}?"
        )
    return bool(sasl and not protocol.startswith("SASL")) or bool(tls and not protocol.endswith("SSL"))


def _some(names: list[str]) -> str:
    ordered = sorted(names)
    return (
        f"{' and '.join(ordered[:2])}{' and more' if len(ordered) > 2 else ''} {'is' if len(ordered) == 1 else 'are'}"
    )


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tls(found: Findings, changed: Set[str]) -> None:
    values, problems = found.values, found.problems
    if values["ssl_context"] is not None:
        others = sorted(name for name in changed if name.startswith(("ssl_", "enable_ssl_")) and name != "ssl_context")
        if others:
            problems.append(f"ssl_context replaces all other settings of TLS, but {_some(others)} given; keep one")
        return
    if values["ssl_protocol"] == "TLSv1.2" and "ssl_enabled_protocols" not in found.given:
        values["ssl_enabled_protocols"] = ("TLSv1.2",)
    _only_one(found, ("ssl_truststore_location", "ssl_truststore_certificates"))
    _only_one(found, ("ssl_keystore_location", "ssl_keystore_key", "ssl_certfile"))
    _together(found, "ssl_keystore_key", "ssl_keystore_certificate_chain")
    if values["ssl_keyfile"] is not None and values["ssl_certfile"] is None:
        problems.append("ssl_keyfile is given without ssl_certfile, the certificate that the key is for")
    for password, owners in _OPENED.items():
        if values[password] is not None and all(values[owner] is None for owner in owners):
            found.warnings.append(f"{password} has no effect without {' or '.join(owners)}")
    if not values[VERIFICATION]:
        found.warnings.append(
            f"{VERIFICATION} is off: anybody on the way can be the broker and read what is sent, passwords included"
        )
    elif values["ssl_endpoint_identification_algorithm"] != "https":
        found.warnings.append(
            "ssl_endpoint_identification_algorithm is off: whether a broker is the host that it was called by is not"
            " checked, only that a trusted CA has signed its certificate"
        )


def _only_one(found: Findings, names: tuple[str, ...]) -> None:
    given = [name for name in names if found.values[name] is not None]
    if len(given) > 1:
        found.problems.append(f"{' and '.join(given)} are two ways to say the same; keep one")


def _together(found: Findings, one: str, other: str) -> None:
    for here, missing in ((one, other), (other, one)):
        if found.values[here] is not None and found.values[missing] is None:
            found.problems.append(f"{here} is given without {missing}; they go together")


def _files(found: Findings, broken: Set[str]) -> None:
    for name in _FILES:
        path: str | None = found.values[name]
        if path is None or name in broken:
            continue
        is_folder = os.path.isdir(path)
        if is_folder and name == "ssl_truststore_location":
            continue
        try:
            with open(path, "rb") as file:
                start = Secret(file.read(4_096))
                mode = os.fstat(file.fileno()).st_mode
        except OSError as error:
            found.problems.append(f"{name}: {path!r} cannot be read: {error.strerror}")
            continue
        _store(found, name, path, start)
        if name in _WITH_KEY and os.name == "posix" and mode & 0o007:
            found.warnings.append(
                f"{name}: every user of this host can read or replace {path!r} (mode {mode & 0o777:o})"
            )


def _store(found: Findings, name: str, path: str, start: Secret) -> None:
    if name not in {"ssl_truststore_location", "ssl_keystore_location"}:
        return
    from aioproducer.security._pem import kind_of, way_out

    kind = kind_of(start.reveal_bytes())
    password = name.replace("_location", "_password")
    if kind in {"JKS", "JCEKS"}:
        found.problems.append(f"{name}: {way_out(kind, name, path)}")
    elif kind == "PKCS12":
        from importlib.util import find_spec

        if find_spec("cryptography") is None:
            found.problems.append(
                f"{name}: {path!r} is a PKCS#12 store, which needs the extra `aioproducer[crypto]`; or make PEM of it"
                f" by `openssl pkcs12 -in {path} -nodes -out client.pem`"
            )
    elif found.values[password] is not None:
        found.problems.append(
            f"{password} is given, but {path!r} is no PKCS#12 store, and PEM has no password; that of a key is"
            " ssl_key_password"
        )


# ── SASL ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _login(found: Findings, broken: Set[str], protocol: str) -> None:
    values, problems = found.values, found.problems
    asked_for: str | None = values["sasl_mechanism"]
    count = len(problems)
    if values["sasl_jaas_config"] is not None:
        try:
            _jaas(found)
        except ConfigurationError as error:
            problems.extend(error.problems)
            return
    mechanism: str | None = values["sasl_mechanism"]
    if mechanism is None:
        problems.append(
            f"sasl_mechanism is missing, which security_protocol={protocol} needs: one of {', '.join(MECHANISMS)}; Java"
            " and librdkafka take GSSAPI, that is Kerberos, when none is given"
        )
        return
    if mechanism == "AWS_MSK_IAM":
        _aws(found, None)
    if len(problems) > count:  # what is missing follows from these
        _in_clear(found, protocol, asked_for or mechanism)
        return
    if not broken.isdisjoint({"sasl_username", "sasl_password", _PROVIDER}):
        return
    if values["sasl_mechanism"] == "OAUTHBEARER":
        _tokens(found, mechanism)
    elif mechanism == "GSSAPI":
        check_kerberos(found)
    else:
        _password(found, mechanism)
    _in_clear(found, protocol, asked_for or mechanism)


def _password(found: Findings, mechanism: str) -> None:
    values, problems = found.values, found.problems
    if values[_PROVIDER] is not None:
        problems.append(f"{_PROVIDER} is given, but sasl_mechanism is {mechanism}; tokens are for OAUTHBEARER")
    if values["sasl_scram_token_auth"] and not mechanism.startswith("SCRAM"):
        problems.append(f"sasl_scram_token_auth is given, but sasl_mechanism is {mechanism}")
    for name in ("sasl_username", "sasl_password"):
        value: Any = values[name]
        if not value:
            problems.append(f"{name} is missing, which sasl_mechanism={mechanism} needs")
        elif not callable(value):
            _look_at_credential(found, name, Secret(value))


def _look_at_credential(found: Findings, name: str, value: Secret) -> None:
    nul = value.reveal_bytes().find(b"\0")
    if nul >= 0:
        found.problems.append(f"{name} has a NUL at character {nul + 1}; no mechanism can send that")
    elif value.reveal_bytes().strip() != value.reveal_bytes():
        found.warnings.append(f"{name} begins or ends with white space, which is sent; was it read from a file?")
    elif re.fullmatch(rb"\$\{[^}]*\}|<[^>]*>|\{\{.*\}\}", value.reveal_bytes()):
        found.problems.append(f"{name} is a placeholder that nothing was put in for")


def _tokens(found: Findings, mechanism: str) -> None:
    values, problems = found.values, found.problems
    for name in ("sasl_username", "sasl_password"):
        if values[name] is not None:
            problems.append(f"{name} is given, but sasl_mechanism is {mechanism}, which logs in with tokens")
    if values[_PROVIDER] is not None and values[_ENDPOINT] is not None:
        problems.append(f"{_PROVIDER} and {_ENDPOINT} are two sources of tokens; keep one")
    elif values[_PROVIDER] is None and values[_ENDPOINT] is None:
        problems.append(
            f"sasl_mechanism=OAUTHBEARER needs tokens: give {_PROVIDER} (aioproducer.security has some), or {_ENDPOINT}"
            " with a client's id and secret"
        )
    elif values[_ENDPOINT] is not None:
        _endpoint(found)


def _endpoint(found: Findings) -> None:
    values, problems = found.values, found.problems
    url: str = values[_ENDPOINT]
    if url.startswith("file:"):
        return
    if "://" not in url:
        is_here = re.match(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:|/|$)", url) is not None
        values[_ENDPOINT] = f"{'http' if is_here else 'https'}://{url}"
    has_assertion = values[_OAUTH + "assertion_file"] or values[_OAUTH + "assertion_private_key_file"]
    if not values[_CLIENT_ID]:
        problems.append(f"{_CLIENT_ID} is missing, which {_ENDPOINT} needs")
    elif not has_assertion and not values[_CLIENT_SECRET]:
        problems.append(f"{_CLIENT_SECRET} is missing, which {_ENDPOINT} needs (or an assertion)")
    else:
        from aioproducer._config.token_provider import token_provider_of

        try:
            token_provider_of(values)
        except ConfigurationError as error:
            problems.extend(f"{_ENDPOINT}: {problem}" for problem in error.problems)


def _in_clear(found: Findings, protocol: str, mechanism: str) -> None:
    if protocol != "SASL_PLAINTEXT":
        return
    if mechanism == "AWS_MSK_IAM":
        found.problems.append("security_protocol is SASL_PLAINTEXT, but IAM works with SASL_SSL only")
    elif mechanism.startswith(("SCRAM", "GSSAPI")):
        found.notes.append(f"{mechanism} without TLS: no password is sent, but what is written can be read on the way")
    else:
        what = "password" if mechanism == "PLAIN" else "token"
        found.warnings.append(f"{mechanism} without TLS: the {what} is sent in clear; use security_protocol=SASL_SSL")


# ── sasl.jaas.config ─────────────────────────────────────────────────────────────────────────────────────────────────


def _jaas(found: Findings) -> None:
    from aioproducer.security import _jaas_modules as jaas

    read = jaas.read_jaas(found.values["sasl_jaas_config"], found.values["sasl_mechanism"])
    if found.values["sasl_mechanism"] is None and len(read.mechanisms) == 1:
        (only,) = read.mechanisms
        found.problems.append(f"sasl_mechanism is missing; the login module of sasl_jaas_config is for {only}")
        found.values["sasl_mechanism"] = only
    if read.ignored:
        found.notes.append(f"sasl_jaas_config: without meaning here, and ignored: {', '.join(read.ignored)}")
    match read.login:
        case jaas.PlainLogin(username, password):
            _take(found, {"sasl_username": username, "sasl_password": password})
        case jaas.ScramLogin(username, password, is_delegation_token):
            _take(found, {"sasl_username": username, "sasl_password": password})
            found.values["sasl_scram_token_auth"] |= is_delegation_token
        case jaas.OAuthLogin():
            _oauth(found, read.login)
        case jaas.IamLogin():
            _aws(found, read.login)
        case jaas.KerberosLogin():
            take_kerberos_login(found, read.login)


def _take(found: Findings, settings: dict[str, Any], *, may_differ: bool = False) -> None:
    """Put in what sasl.jaas.config says; what was given by itself has to be the same, or wins as in Java."""
    for name, value in settings.items():
        if value is None or value == found.values[name]:
            continue
        if found.values[name] is None:
            found.values[name] = value
        elif not may_differ:
            found.problems.append(f"{name} and sasl_jaas_config say two things; keep one")


def _oauth(found: Findings, login: OAuthLogin) -> None:
    _take(
        found,
        {
            _CLIENT_ID: login.client_id,
            _CLIENT_SECRET: login.client_secret,
            _OAUTH + "scope": login.scope,
            _ENDPOINT: login.token_endpoint_url,
            _OAUTH + "extensions": dict(login.extensions) or None,
        },
        may_differ=True,
    )
    token = login.access_token
    if token is not None:
        from aioproducer._config.token_provider import ConstantToken

        _take(found, {_PROVIDER: ConstantToken(token)})
    if login.unsecured:
        from aioproducer._config.token_provider import unsecured_token

        _take(found, {_PROVIDER: unsecured_token(login)})
        found.warnings.append("sasl_jaas_config: tokens without a signature are for development; nobody can trust them")


def _aws(found: Findings, login: IamLogin | None) -> None:
    """Amazon's brokers take tokens too, as its own clients in other languages send them: one mechanism less."""
    values = found.values
    values["sasl_mechanism"] = "OAUTHBEARER"
    if values[_PROVIDER] is not None:
        return
    region = _region(found) if login is None or login.sts_region is None else login.sts_region
    if region is None:
        found.problems.append(
            "sasl_mechanism is AWS_MSK_IAM, and the region is not known: bootstrap_servers do not name it, nor do"
            " AWS_REGION and AWS_DEFAULT_REGION"
        )
        return
    from aioproducer.security._aws import AwsMskIam
    from aioproducer.security._aws_sources import AwsBotocore

    if login is not None and (login.role_arn is not None or login.role_access_key_id is not None):
        found.problems.append(
            "sasl_jaas_config: roles of IAMLoginModule are not taken on here; give"
            f" {_PROVIDER}=AwsMskIam({region!r}, …) of aioproducer.security, with a source that has the role"
        )
        return
    source = None if login is None or login.profile_name is None else AwsBotocore(login.profile_name)
    values[_PROVIDER] = AwsMskIam(region, source)
    found.notes.append(f"AWS_MSK_IAM is done by OAUTHBEARER, with tokens signed here for {region}")


def _region(found: Findings) -> str | None:
    from aioproducer.sasl._sigv4 import region_of

    servers: tuple[tuple[str, int], ...] = found.values["bootstrap_servers"] or ()
    named = next(filter(None, (region_of(host) for host, _ in servers)), None)
    return named or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")

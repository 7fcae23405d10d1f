"""Kerberos by the package `gssapi`: whose ticket is shown to which broker, and what its errors mean.

Tickets come from where the system's library looks for them: the cache that `kinit` has filled, or a keytab. With one it
gets a ticket by itself, and another in time; it is read anew then. Everything here blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from aioproducer.errors import ConfigurationError
from aioproducer.security._failures import refused, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer.errors import AuthenticationError

MISSING: Final = "GSSAPI (Kerberos) needs the package gssapi: pip install 'aioproducer[gssapi]'"

_UNREACHABLE: Final = "no KDC answers: check the realm's addresses in krb5.conf (or KRB5_CONFIG), and firewalls"
_HINTS: Final[dict[int, str]] = {
    6: "the KDC does not know our principal: check sasl_kerberos_principal, or whose ticket `klist` shows",
    7: "the KDC knows no {target}: brokers are asked for by sasl_kerberos_service_name and the host that was called, so"
    " check both, or set sasl_kerberos_domain_name to the host in their principal",
    18: "our principal is locked or has expired in the KDC",
    23: "our principal's password has expired in the KDC",
    24: "the key in the keytab is not (any more) that of our principal: make the keytab anew",
    31: "the key in the keytab is not (any more) that of our principal: make the keytab anew",
    32: "the ticket has expired: run kinit again, or set sasl_kerberos_keytab, with which it is renewed by itself",
    33: "the ticket is not valid yet: check the clocks of this host and of the KDC",
    37: "this host's clock and the KDC's differ too much (five minutes are allowed): set them by NTP",
    68: "the KDC is for another realm: check default_realm and domain_realm in krb5.conf",
    156: _UNREACHABLE,
    230: "the realm is not known: check default_realm, domain_realm and the realm's KDCs in krb5.conf",
}
"""By the number of Kerberos' own error (RFC 4120 §7.5.9; above 128 those of MIT's library)."""

_FIRST_ERROR: Final = -1765328384
_NO_CREDENTIALS: Final = frozenset({141, 181, 195})
_PASSES: Final = frozenset({156})
"""Errors that asking again may change."""


@dataclass(frozen=True, slots=True)
class KerberosSettings:
    """Whose tickets, and for what.

    Attributes:
        service_name: the first part of brokers' principals (sasl.kerberos.service.name).
        domain_name: the host in their principals, if not the one that is called.
        principal: ours; None: that of the ticket there is.
        keytab: a file with our key.
        ticket_cache: another place of tickets than the system's.
    """

    service_name: str = "kafka"
    domain_name: str | None = None
    principal: str | None = None
    keytab: str | None = None
    ticket_cache: str | None = None

    @property
    def store(self) -> dict[str, str]:
        """Where credentials are looked for, as MIT's library calls the places."""
        store: dict[str, str] = {}
        if self.keytab is not None:
            store["client_keytab"] = self.keytab
            # One for each of us in this process: whoever else has tickets is not to be taken for us, and what a cache
            # in memory holds stays until the process ends.
            name = sha256(f"{self.keytab}\0{self.principal}".encode()).hexdigest()[:16]
            store["ccache"] = f"MEMORY:aioproducer-{name}"
        if self.ticket_cache is not None:
            store["ccache"] = self.ticket_cache
        return store


class KerberosContext:
    """See `GssContext`, which this is."""

    def __init__(self, settings: KerberosSettings, host: str) -> None:
        """Find the credentials; nothing is asked of the KDC yet, but for the first ticket of a keytab.

        Raises:
            AuthenticationError: there are none.
            ConfigurationError: the package gssapi is missing.
        """
        self._gssapi = gssapi = loaded()
        self._settings = settings
        service_host = settings.domain_name or host
        self._target = f"{settings.service_name}/{service_host}"
        self._context: Any = self._called(lambda: self._opened(gssapi, settings, service_host))

    def _opened(self, gssapi: Any, settings: KerberosSettings, service_host: str) -> Any:
        kerberos = gssapi.MechType.kerberos
        # Only if something is set: without, the system's own rules choose among the tickets that there are.
        credentials = None
        if settings.principal is not None or settings.store:
            principal = settings.principal
            name = None if principal is None else gssapi.Name(principal, gssapi.NameType.kerberos_principal)
            store = settings.store or None
            credentials = gssapi.Credentials(name=name, usage="initiate", mechs=[kerberos], store=store)
        flags = gssapi.RequirementFlag
        return gssapi.SecurityContext(
            name=gssapi.Name(f"{settings.service_name}@{service_host}", gssapi.NameType.hostbased_service),
            creds=credentials,
            usage="initiate",
            mech=kerberos,
            flags=flags.mutual_authentication | flags.integrity | flags.out_of_sequence_detection,
        )

    @property
    def target(self) -> str:
        """See `GssContext`."""
        return self._target

    @property
    def is_complete(self) -> bool:
        """See `GssContext`."""
        return bool(self._context.complete)

    def step(self, token: bytes) -> bytes:
        """See `GssContext`."""
        return self._called(lambda: self._context.step(token or None)) or b""

    def unwrap(self, message: bytes) -> bytes:
        """See `GssContext`."""
        return bytes(self._called(lambda: self._context.unwrap(message)).message)

    def wrap(self, message: bytes) -> bytes:
        """See `GssContext`."""
        return bytes(self._called(lambda: self._context.wrap(message, encrypt=False)).message)

    def _called(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self._gssapi.exceptions.GSSError as error:
            raise explained(error, self._target, self._settings) from error


def loaded() -> Any:
    """Return the package gssapi.

    Raises:
        ConfigurationError: it is not installed, or does not find the system's library.
    """
    try:
        return import_module("gssapi")
    except ImportError as error:
        raise ConfigurationError(f"{MISSING} ({error})") from error
    except OSError as error:  # Windows: no Kerberos is installed
        raise ConfigurationError(f"the package gssapi does not find Kerberos on this host: {error}") from error


def explained(error: Any, target: str, settings: KerberosSettings) -> AuthenticationError:
    """Return the error for one of gssapi's: its own words, and what to do.

    Args:
        error: a GSSError.
        target: the broker's principal that was asked for.
        settings: where credentials were looked for.
    """
    number = (int(error.min_code) - _FIRST_ERROR) & 0xFFFFFFFF
    hint = _where_none_were(settings) if number in _NO_CREDENTIALS else _HINTS.get(number, "").format(target=target)
    make = unavailable if number in _PASSES else refused
    return make(f"no ticket for {target}: {_words(error)}{f'; {hint}' if hint else ''}")


def _where_none_were(settings: KerberosSettings) -> str:
    whose = "any principal" if settings.principal is None else repr(settings.principal)
    if settings.keytab is not None:
        return f"the keytab {settings.keytab!r} cannot be read, or has no key of {whose}; `klist -k` shows what it has"
    if settings.ticket_cache is not None:
        return f"{settings.ticket_cache!r} (sasl_kerberos_ticket_cache) has no ticket of {whose}: run kinit -c with it"
    return f"there is no ticket of {whose}: run kinit, or set sasl_kerberos_keytab and sasl_kerberos_principal"


def _words(error: Any) -> str:
    """The library's words for the reason, which it has for both of its codes; the major one's are mostly empty."""
    for code, is_major in ((error.min_code, False), (error.maj_code, True)):
        found = [_text(status) for status in error.get_all_statuses(code, is_major) if code]
        if any(found):
            return ", ".join(text for text in found if text)
    return f"major {error.maj_code}, minor {error.min_code}"


def _text(status: str | bytes) -> str:
    return status.decode(errors="replace") if isinstance(status, bytes) else status

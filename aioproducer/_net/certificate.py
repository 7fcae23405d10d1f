"""What a certificate says of itself: for which names, signed by whom, and from when until when it is good.

Python decodes certificates that it has accepted, and these are about those that it has not, and about our own. What is
read here (X.509 in DER, RFC 5280 §4.1) may be anybody's: whatever is not understood is left out.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from aioproducer._logger import get_logger
from aioproducer.sasl._turns import shown
from aioproducer.security._clock import wall_clock_ms

_log = get_logger("aioproducer.connection")

SOON_SECONDS: Final = 14 * 86_400
SOON_PART: Final = 0.1
"""A certificate ends soon when this part of its life is left, and at most so long: whoever renews it in time has done
so by then, be its life an hour or two years."""

_SHOWN_NAMES: Final = 10
_TOLD_AT_MOST: Final = 64

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION, _EXTENSIONS = 0x30, 0x17, 0x18, 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_ALTERNATIVE_NAMES: Final = bytes.fromhex("551d11")
_ATTRIBUTES: Final = {bytes.fromhex("550403"): "CN", bytes.fromhex("55040b"): "OU", bytes.fromhex("55040a"): "O"}
_CENTURY_ENDS: Final = 50  # RFC 5280 §4.1.2.5.1: years of two digits are those from 1950 on


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate.

    Attributes:
        names: hosts and addresses it is for; its common name if it lists none.
        issuer: who has signed it, such as "CN=Kafka CA, O=Example".
        not_before, not_after: seconds since 1970.
    """

    names: tuple[str, ...]
    issuer: str
    not_before: float
    not_after: float

    @property
    def shown_names(self) -> str:
        """The names, not all of many, as a message may have them."""
        more = "" if len(self.names) <= _SHOWN_NAMES else f" and {len(self.names) - _SHOWN_NAMES} more"
        return ", ".join(shown(name) for name in self.names[:_SHOWN_NAMES]) + more

    @property
    def period(self) -> str:
        """When it is good."""
        return f"good from {date(self.not_before)} until {date(self.not_after)}"

    def is_ending(self, now: float) -> bool:
        """Whether it ends soon, or has ended."""
        return self.not_after - now <= min(SOON_SECONDS, SOON_PART * (self.not_after - self.not_before))


def date(seconds: float) -> str:
    """Return a point in time as messages have it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


class EndingCertificates:
    """Warns of certificates that end soon, once of each."""

    def __init__(self, clock: Callable[[], int] = wall_clock_ms) -> None:
        """Take the wall clock, in milliseconds."""
        self._clock = clock
        self._told: set[tuple[str, Certificate]] = set()

    def look(self, whose: str, certificate: Certificate | None) -> None:
        """Warn, if there is reason to and it was not done before.

        Args:
            whose: in words: "the client certificate of ssl_certfile".
            certificate: None: there is none, or it was not understood.
        """
        now = self._clock() / 1000
        if certificate is None or not certificate.is_ending(now) or (whose, certificate) in self._told:
            return
        if len(self._told) >= _TOLD_AT_MOST:
            self._told.clear()
        self._told.add((whose, certificate))
        ends = "has ended on" if certificate.not_after <= now else "ends on"
        _log.warning(
            "%s %s %s: renew it, connections that are made later fail",
            whose,
            ends,
            date(certificate.not_after),
            extra={"event_name": "certificate_ending"},
        )


# ── reading one ──────────────────────────────────────────────────────────────────────────────────────────────────────


def peer_certificate(connection: ssl.SSLObject) -> Certificate | None:
    """Return the peer's own certificate, accepted or not; None if it has shown none, or Python does not tell."""
    try:
        accepted = connection.getpeercert(binary_form=True)
    except ValueError:  # the handshake is not done
        accepted = None
    return read_certificate(accepted or _refused_certificate(connection))


def _refused_certificate(connection: ssl.SSLObject) -> bytes:
    """What has failed the handshake. Public from Python 3.13 on; what it was before is used as long as it is there."""
    holder: Any = connection if hasattr(connection, "get_unverified_chain") else getattr(connection, "_sslobj", None)
    try:
        first = holder.get_unverified_chain()[0]
        return first if isinstance(first, bytes) else bytes(first.public_bytes(2))  # 2: in DER
    except (AttributeError, IndexError, TypeError, ValueError):
        return b""


def certificate_of_pem(text: bytes) -> Certificate | None:
    """Return the certificate that a PEM text is; None: it was not understood."""
    try:
        return read_certificate(ssl.PEM_cert_to_DER_cert(text.decode("ascii").strip()))
    except ValueError:  # UnicodeDecodeError and binascii.Error are some
        return None


def read_certificate(der: bytes) -> Certificate | None:
    """Return what a certificate says; None: it was not understood."""
    try:
        return _read(der)
    except (ValueError, IndexError, OverflowError, StopIteration):
        return None


class _Item(NamedTuple):
    tag: int
    content: bytes


def _read(der: bytes) -> Certificate:
    outer = _only(der, _SEQUENCE)
    fields = list(_items(next(_items(outer)).content))
    if fields[0].tag == _VERSION:
        del fields[0]
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, then what is optional
    issuer, validity, subject = (field.content for field in fields[2:5])
    not_before, not_after = (_time(item) for item in _items(validity))
    names = [name for field in fields[6:] if field.tag == _EXTENSIONS for name in _alternative_names(field.content)]
    return Certificate(
        names=tuple(names or [value for kind, value in _attributes(subject) if kind == "CN"]),
        issuer=", ".join(f"{kind}={value}" for kind, value in _attributes(issuer)),
        not_before=not_before,
        not_after=not_after,
    )


def _items(data: bytes) -> Iterator[_Item]:
    """The values that stand one after the other in a text of DER."""
    at = 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4:
                raise ValueError("a length of no form that DER has")
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        if at + size > len(data):
            raise ValueError("a value that is longer than what it is in")
        yield _Item(tag, data[at : at + size])
        at += size


def _only(data: bytes, tag: int) -> bytes:
    (item,) = _items(data)
    if item.tag != tag:
        raise ValueError(f"a value of kind {item.tag}, not {tag}")
    return item.content


def _time(item: _Item) -> float:
    text = item.content.decode("ascii")
    if item.tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _CENTURY_ENDS else "20") + text
    elif item.tag != _GENERALIZED_TIME:
        raise ValueError("a time of neither kind")
    if len(text) != len("YYYYMMDDhhmmssZ") or not text.endswith("Z"):
        raise ValueError("a time of no form that certificates have")
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC).timestamp()


def _attributes(name: bytes) -> Iterator[tuple[str, str]]:
    """The parts of a name that people know it by."""
    for part in _items(name):
        for pair in _items(part.content):
            kind, value = _items(pair.content)
            if kind.content in _ATTRIBUTES:
                yield _ATTRIBUTES[kind.content], value.content.decode("utf-8", "replace")


def _alternative_names(extensions: bytes) -> Iterator[str]:
    for extension in _items(_only(extensions, _SEQUENCE)):
        kind, *_, value = _items(extension.content)  # whether it is critical stands between
        if kind.content == _ALTERNATIVE_NAMES:
            for name in _items(_only(value.content, _SEQUENCE)):
                if name.tag == _DNS_NAME:
                    yield name.content.decode("ascii", "replace")
                elif name.tag == _IP_ADDRESS:
                    yield str(ipaddress.ip_address(name.content))

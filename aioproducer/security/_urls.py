"""The addresses that credentials are fetched from: checked once, shown without their query."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_PORTS: Final = {"https": 443, "http": 80}
_LEGAL: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy of the environment."""

    host: str
    port: int
    credentials: Secret | None = None

    def authorization(self) -> dict[str, str | Secret]:
        """Return the header that logs in to it, if there is one."""
        if self.credentials is None:
            return {}
        encoded = base64.b64encode(self.credentials.reveal_bytes()).decode()
        return {"Proxy-Authorization": Secret(f"Basic {encoded}")}


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https address, in its parts.

    Attributes:
        text: all of it.
        host: in lower case, IPv6 without brackets.
        port: given, or the scheme's.
        is_https: else plain http.
        target: path and query, as they are sent.
        is_metadata_service: of a cloud: no proxy is asked, and it may be link-local and plain http.
    """

    text: str = field(repr=False)
    host: str
    port: int
    is_https: bool
    target: str = field(repr=False)
    is_metadata_service: bool = False

    @property
    def shown(self) -> str:
        """The address as messages have it: without query, which may say more than others should know."""
        return f"{'https' if self.is_https else 'http'}://{self.authority}{self.target.partition('?')[0]}"

    @property
    def authority(self) -> str:
        """Host and port as the header Host has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.is_https else "http"] else f"{host}:{self.port}"

    def proxy(self) -> Proxy | None:
        """Return the proxy that the environment prescribes for it, or None."""
        if self.is_metadata_service:
            return None
        from urllib.request import getproxies, proxy_bypass

        text = getproxies().get("https" if self.is_https else "http")
        if not text or proxy_bypass(self.host):
            return None
        return _proxy(text)


def service_url(name: str, text: str, *, allow_plain_http: bool = False) -> Url:
    """Return the address of a service that credentials are sent to.

    Args:
        name: of the argument, for messages.
        text: the address; https, or http on this host.
        allow_plain_http: take http for other hosts too: everybody on the way can then read the credentials.

    Raises:
        ConfigurationError: it is not such an address, or is link-local: only the providers of clouds ask those.
    """
    url = _parsed(name, text, is_metadata_service=False)
    if _is(url.host, "is_link_local"):
        raise ConfigurationError(f"{name} is the link-local address {url.host}: only a cloud's own provider asks those")
    if not (url.is_https or allow_plain_http or url.host == "localhost" or _is(url.host, "is_loopback")):
        raise ConfigurationError(f"{name} {url.shown} is not https: the credentials would be readable on the way")
    return url


def metadata_url(name: str, text: str) -> Url:
    """Return the address of a cloud's metadata service.

    Raises:
        ConfigurationError: it is not an http or https address.
    """
    return _parsed(name, text, is_metadata_service=True)


def _parsed(name: str, text: str, *, is_metadata_service: bool) -> Url:
    try:
        parts, port = _split(text)
    except ValueError:  # urllib's own words quote it
        raise ConfigurationError(f"{name} is not an address such as https://login.example.com/token") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{name} has a user name in it: give credentials as arguments of their own")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(
        text=f"{parts.scheme}://{parts.netloc}{target}",
        host=(parts.hostname or "").lower(),
        port=port or _PORTS[parts.scheme],
        is_https=parts.scheme == "https",
        target=target,
        is_metadata_service=is_metadata_service,
    )


def _split(text: str) -> tuple[SplitResult, int | None]:
    if _LEGAL.fullmatch(text) is None:
        raise ValueError
    parts = urlsplit(text)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError
    return parts, parts.port


def _proxy(text: str) -> Proxy | None:
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if not parts.hostname or parts.scheme != "http":  # what urllib does not know either: SOCKS
        return None
    credentials = None
    if parts.username is not None:
        credentials = Secret(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    return Proxy(parts.hostname, parts.port or 80, credentials)


def _is(host: str, what: str) -> bool:
    """Return whether a host is an IP address of some kind; a name is none."""
    try:
        return bool(getattr(ipaddress.ip_address(host), what))
    except ValueError:
        return False

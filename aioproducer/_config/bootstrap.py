"""The addresses in a list of bootstrap servers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from aioproducer._config.showing import shown_text
from aioproducer.errors import ConfigurationError

_ADDRESS: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+_.-]*://)?"  # a protocol is tolerated, as Java does, and does not matter
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[^\s\[\]:/@,]+))"
    r":(?P<port>[0-9]{1,5})"
)


def parse_bootstrap_servers(servers: str | Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Return the addresses (host, port), each once, in the order given.

    Args:
        servers: "host:port,host:port", or a sequence of "host:port". An IPv6 address stands in brackets.

    Raises:
        ConfigurationError: there is none, or one has no host or no port from 1 to 65535; tells of all of them.

    Example:
        >>> parse_bootstrap_servers("PLAINTEXT://kafka-1:9092,[::1]:9093")
        (('kafka-1', 9092), ('::1', 9093))
    """
    entries: Sequence[object] = servers.split(",") if isinstance(servers, str) else servers
    if not entries or (isinstance(servers, str) and not servers.strip()):
        raise ConfigurationError("bootstrap_servers is empty; name at least one broker as host:port")
    addresses: list[tuple[str, int]] = []
    problems: list[str] = []
    for entry in entries:
        try:
            addresses.append(_parse_address(entry))
        except ValueError as error:
            problems.append(f"bootstrap_servers {error}")
    if problems:
        raise ConfigurationError(problems)
    return tuple(dict.fromkeys(addresses))


def _parse_address(entry: object) -> tuple[str, int]:
    if not isinstance(entry, str):
        raise ValueError(f"has a {type(entry).__name__}; each must be a str of the form host:port")
    text = entry.strip()
    if not text:
        raise ValueError("has an empty element; take out the comma too many")
    match = _ADDRESS.fullmatch(text)
    if match is None:
        if "@" in text:  # do not repeat what may be a password
            raise ValueError("has an address with '@'; give host:port only, credentials do not belong there")
        raise ValueError(f"has {shown_text(text)}; it must be host:port, an IPv6 address in brackets")
    if re.search("[<>{}$]", text):
        raise ValueError("has a placeholder that nothing was put in for; name a broker as host:port")
    port = int(match["port"])
    if not 1 <= port <= 65535:
        raise ValueError(f"has {shown_text(text)}; the port must be from 1 to 65535")
    return match["v6"] or match["host"], port

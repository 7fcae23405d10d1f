"""Names of cipher suites: the IANA's, as Java has them, and OpenSSL's, which alone are understood here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

TLS_1_3: Final = frozenset(
    {
        "TLS_AES_128_CCM_8_SHA256",
        "TLS_AES_128_CCM_SHA256",
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    }
)
"""Those of TLS 1.3 have one name. Python's ssl cannot choose among them before 3.15: three of them are always on."""

_IANA: Final = re.compile(r"TLS_(?P<exchange>[A-Z]+(?:_[A-Z]+)*)_WITH_(?P<cipher>[A-Z0-9_]+)")


class CipherError(ValueError):
    """The rest of a sentence that begins with the setting's name."""


def openssl_ciphers(names: Iterable[str]) -> list[str]:
    """Return OpenSSL's names, those of TLS 1.3 left out.

    Raises:
        CipherError: one is no name of a suite in either form.

    Example:
        >>> openssl_ciphers(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"])
        ['ECDHE-RSA-AES128-GCM-SHA256']
    """
    return [_openssl(name) for name in names if name not in TLS_1_3]


def _openssl(name: str) -> str:
    match = _IANA.fullmatch(name)
    if match is None:
        if name.startswith("TLS_") or not re.fullmatch(r"[A-Za-z0-9@!+=-]+", name):
            raise CipherError("has a name that is neither the IANA's nor OpenSSL's of a cipher suite")
        return name
    exchange = match["exchange"].replace("_", "-")
    # AES_128_GCM_SHA256 → AES128-GCM-SHA256; CBC is not named; a suite of plain RSA does not name its exchange.
    cipher = re.sub(r"(AES|CAMELLIA|ARIA)_(\d+)", r"\1\2", match["cipher"]).replace("_CBC", "").replace("_", "-")
    cipher = cipher.replace("CHACHA20-POLY1305-SHA256", "CHACHA20-POLY1305")
    return cipher if exchange == "RSA" else f"{exchange}-{cipher}"

"""Certificates and keys as people have them: PEM in its odd shapes, and stores of other kinds, known by content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from aioproducer._secret import Secret

StoreKind: TypeAlias = Literal["PEM", "PKCS12", "JKS", "JCEKS", "unknown"]

CERTIFICATE: Final = "CERTIFICATE"

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_BEGIN: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----")
_LINE: Final = 64


class PemBlock(NamedTuple):
    """One object in PEM.

    Attributes:
        label: such as "CERTIFICATE" or "ENCRYPTED PRIVATE KEY".
        text: with its first and last line, as OpenSSL reads it.
    """

    label: str
    text: Secret

    @property
    def is_key(self) -> bool:
        """Whether it is a private key."""
        return self.label.endswith("PRIVATE KEY")

    @property
    def is_certificate(self) -> bool:
        """Whether it is a certificate."""
        return self.label == CERTIFICATE

    @property
    def is_encrypted(self) -> bool:
        """Whether a password opens it: PKCS#8's form, or the older one with a header."""
        return self.label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in self.text.reveal_bytes()


def kind_of(data: bytes) -> StoreKind:
    """Return what a store is, by its first bytes: files named .jks are often PKCS#12."""
    if data.startswith(b"\xfe\xed\xfe\xed"):
        return "JKS"
    if data.startswith(b"\xce\xce\xce\xce"):
        return "JCEKS"
    if data.startswith((b"\x30\x82", b"\x30\x83", b"\x30\x80")):
        return "PKCS12"
    return "PEM" if _BEGIN.search(data) else "unknown"


def pem_blocks(data: Secret) -> list[PemBlock]:
    r"""Return the objects in a PEM text, whatever its line ends: real ones, the two characters \n as environment
    variables have them, blanks, or none. What stands between the objects is left out.
    """
    found = _BLOCK.findall(data.reveal_bytes().replace(rb"\n", b"\n"))
    return [PemBlock(label.decode(), _block(label, Secret(body))) for label, body in found]


def joined(blocks: Sequence[PemBlock]) -> Secret:
    """Return one PEM text of them all."""
    return Secret(b"".join(block.text.reveal_bytes() for block in blocks))


def _block(label: bytes, body: Secret) -> Secret:
    lines = body.reveal_bytes().strip().splitlines()
    if not any(b":" in line for line in lines):  # headers need their line ends, and are written by tools that have some
        whole = Secret(b"".join(body.reveal_bytes().split())).reveal_bytes()
        lines = [whole[at : at + _LINE] for at in range(0, len(whole), _LINE)]
    return Secret(b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, b"\n".join(lines), label))


def way_out(kind: StoreKind, setting: str, path: str) -> str:
    """Return a sentence for a store that cannot be read, with the command that makes one that can."""
    pem = f"{path.removesuffix('.jks').removesuffix('.p12').removesuffix('.pfx')}"
    if setting == "ssl_truststore_location":
        return (
            f"{path!r} is a {kind} store of Java's, not PEM: make PEM of it, once for each alias that"
            f" `keytool -list -keystore {path}` shows, by"
            f" `keytool -exportcert -rfc -keystore {path} -alias ALIAS >> {pem}.pem`"
        )
    return (
        f"{path!r} is a {kind} store of Java's, not PEM: make PEM of it by"
        f" `keytool -importkeystore -srckeystore {path} -destkeystore {pem}.p12 -deststoretype PKCS12` and"
        f" `openssl pkcs12 -in {pem}.p12 -nodes -out {pem}.pem`"
    )

"""Certificates for tests: an authority of our own, the brokers' certificate, and clients' ones. Needs trustme.

Other clients take files, so everything is one, in a folder that goes with the cluster. A new certificate is written
beside the old one and put in its place, so that whoever reads meanwhile gets one or the other.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from aioproducer._public import public_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

ClientAuth: TypeAlias = Literal["none", "requested", "required"]

HOSTS: Final = ("localhost", "127.0.0.1")
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "requested": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
# Short names of RFC 2253, as in the principals that brokers make of certificates.
_ATTRIBUTES: Final = {
    "commonName": "CN",
    "organizationalUnitName": "OU",
    "organizationName": "O",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "countryName": "C",
}


@public_in("aioproducer.testing")
@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client's certificate and key, PEM files that are there while the cluster runs.

    Attributes:
        certfile: the certificate and its chain.
        keyfile: the key, not encrypted, PKCS#8 as Kafka's clients want it.
        principal: who the client is to the brokers: "User:CN=alice,OU=testing,O=clients".
    """

    certfile: str
    keyfile: str
    principal: str


class Certificates:
    """An authority, and what it has signed.

    Args:
        client_auth: whether clients are asked for a certificate (ssl.client.auth).

    Attributes:
        context: the brokers'; another one after each rotation, which new connections get.

    Raises:
        ModuleNotFoundError: trustme is not installed.
    """

    def __init__(self, client_auth: ClientAuth) -> None:
        self._trustme: Any = _trustme()  # its types are those of whichever version is there
        self._client_auth = client_auth
        self._folder = tempfile.TemporaryDirectory(prefix="aioproducer-tls-", ignore_cleanup_errors=True)
        self._authorities: list[Any] = [self._trustme.CA()]
        self._issued = 0
        self.context: ssl.SSLContext
        self.rotate()

    @property
    def ca_file(self) -> str:
        """The certificate of the authority that has signed the brokers' present one, PEM."""
        return str(self._path / "ca.pem")

    @property
    def _path(self) -> Path:
        return Path(self._folder.name)

    def rotate(
        self, hosts: Sequence[str] = HOSTS, *, not_after: datetime | None = None, new_authority: bool = False
    ) -> None:
        """Give the brokers another certificate. Clients' ones stay good, whichever authority has signed them."""
        if new_authority:
            self._authorities.append(self._trustme.CA())
        authority = self._authorities[-1]
        certificate = authority.issue_cert(*hosts, **({} if not_after is None else {"not_after": not_after}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        certificate.configure_cert(context)
        for each in self._authorities:
            each.configure_trust(context)
        context.verify_mode = _VERIFY[self._client_auth]
        self._write("ca.pem", authority.cert_pem.bytes())
        self.context = context

    def issue(self, common_name: str) -> ClientCertificate:
        """Make a certificate for a client, "CN=…,OU=testing,O=clients"."""
        self._issued += 1
        # A certificate without any name in it has an empty critical subjectAltName, which Java refuses.
        certificate = self._authorities[-1].issue_cert(
            f"{_mailbox(common_name)}@clients.example",
            common_name=common_name,
            organization_name="clients",
            organization_unit_name="testing",
        )
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        certfile = self._write(f"client-{self._issued}.pem", chain)
        keyfile = self._write(f"client-{self._issued}.key", _pkcs8(certificate.private_key_pem.bytes()))
        return ClientCertificate(certfile, keyfile, _principal_in(chain))

    @staticmethod
    def check_installed() -> None:
        """Raises ModuleNotFoundError when trustme is not installed."""
        _trustme()

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()

    def _write(self, name: str, data: bytes) -> str:
        path = self._path / name
        written = path.with_suffix(".new")
        written.touch(mode=0o600)
        written.write_bytes(data)
        os.replace(written, path)
        return str(path)


def principal_of(subject: Sequence[Sequence[tuple[str, str]]]) -> str:
    """The principal of a certificate: its distinguished name as in RFC 2253, last part first.

    Args:
        subject: as `getpeercert()["subject"]` has it: parts, each of (name, value) pairs.
    """
    parts = ["+".join(f"{_ATTRIBUTES.get(name, name)}={_escaped(value)}" for name, value in part) for part in subject]
    return "User:" + ",".join(reversed(parts))


def _escaped(value: str) -> str:
    return "".join(f"\\{each}" if each in ',+"\\<>;' else each for each in value)


def _principal_in(chain: bytes) -> str:
    from cryptography import x509  # trustme needs it, too

    return f"User:{x509.load_pem_x509_certificate(chain).subject.rfc4514_string()}"


def _pkcs8(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    loaded = serialization.load_pem_private_key(key, None)
    return loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _mailbox(name: str) -> str:
    return "".join(each if each.isascii() and each.isalnum() else "-" for each in name)


def _trustme() -> Any:
    try:
        return import_module("trustme")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "TLS on the embedded cluster needs the package trustme: pip install 'aioproducer[testing]'"
        ) from None

"""From settings to an ssl.SSLContext: trusted certificates, our own one and its key, versions, ciphers.

Made in a thread of our own, as loading the system's certificates takes 12 to 170 ms, and once for all connections.
Before a new connection the files are looked at again: certificates that live for days are replaced meanwhile.
"""

from __future__ import annotations

import inspect
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import anyio

from aioproducer._logger import get_logger
from aioproducer._net.certificate import Certificate, EndingCertificates, certificate_of_pem
from aioproducer._net.ciphers import CipherError, openssl_ciphers
from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._pem import PemBlock, joined, kind_of, pem_blocks, way_out
from aioproducer.security._threads import run_in_thread

if TYPE_CHECKING:
    from aioproducer._config import ProducerConfig

_log = get_logger("aioproducer.connection")

LOOK_SECONDS: Final = 1.0
"""Files are looked at no more often than that, however many connections are made."""

VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}

ContextSource = ssl.SSLContext | Callable[[], Any]
"""A context, or a callable that returns one, or an awaitable of one; it is asked for each connection."""

_Stamp = tuple[tuple[str, int, int, int] | tuple[str, None], ...]


class Problem(Exception):
    """One sentence about one setting."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What a context is made of; see the settings ssl_… of the same names.

    Attributes:
        truststore_location: a PEM or PKCS#12 file, or a folder with hashed names; None with no certificates either: the
            system's.
        truststore_certificates: PEM.
        keystore_location: our certificates and key in one file, PEM or PKCS#12.
        certificate_chain, key: the same as PEM.
        certfile, keyfile: the same in two PEM files; the key may be in the first.
        crlfile: revoked certificates, PEM.
        is_name_checked: the certificate has to be for the host.
        is_verified: certificates have to be signed by a trusted CA at all.
        versions: such as ("TLSv1.2", "TLSv1.3"); adjacent ones.
        ciphers: OpenSSL's names, or those of the IANA as Java has them; empty: OpenSSL's choice.
    """

    truststore_location: str | None = None
    truststore_certificates: Secret | None = None
    truststore_password: Secret | None = None
    keystore_location: str | None = None
    keystore_password: Secret | None = None
    certificate_chain: Secret | None = None
    key: Secret | None = None
    certfile: str | None = None
    keyfile: str | None = None
    key_password: Secret | None = None
    crlfile: str | None = None
    is_name_checked: bool = True
    is_verified: bool = True
    versions: tuple[str, ...] = ("TLSv1.2", "TLSv1.3")
    ciphers: tuple[str, ...] = ()

    @property
    def files(self) -> list[str]:
        """The files that it is read from."""
        named = (self.truststore_location, self.keystore_location, self.certfile, self.keyfile, self.crlfile)
        return [path for path in named if path is not None]


def tls_settings_of(config: ProducerConfig) -> TlsSettings:
    """Return the part of a producer's settings that a context is made of."""
    return TlsSettings(
        truststore_location=config.ssl_truststore_location,
        truststore_certificates=config.ssl_truststore_certificates,
        truststore_password=config.ssl_truststore_password,
        keystore_location=config.ssl_keystore_location,
        keystore_password=config.ssl_keystore_password,
        certificate_chain=config.ssl_keystore_certificate_chain,
        key=config.ssl_keystore_key,
        certfile=config.ssl_certfile,
        keyfile=config.ssl_keyfile,
        key_password=config.ssl_key_password,
        crlfile=config.ssl_crlfile,
        is_name_checked=config.ssl_endpoint_identification_algorithm == "https",
        is_verified=config.enable_ssl_certificate_verification,
        versions=config.ssl_enabled_protocols,
        ciphers=config.ssl_cipher_suites,
    )


class TlsContexts:
    """The context for each new connection of one producer: kept, and made anew when its files have changed.

    Connections that are open stay as they are: a broker looks at a certificate once. Files that do not load (a key
    whose certificate is not replaced yet) leave the old context in use, with one warning.

    Attributes:
        ours: the certificate that the context shows, None if none, or if it is a program's own context.
        endings: warns of it, and of brokers' ones, when they end soon.
    """

    def __init__(self, settings: TlsSettings | ContextSource) -> None:
        self.ours: Certificate | None = None
        self.endings = EndingCertificates()
        self._settings = settings
        self._lock = anyio.Lock()
        self._context: ssl.SSLContext | None = None
        self._stamp: _Stamp = ()
        self._refusal = ""  # what the last warning said
        self._look_at = 0.0  # of the event loop's clock

    async def get(self) -> ssl.SSLContext:
        """Return the context for a connection that is made now. Cancel-safe.

        Raises:
            ConfigurationError: it could not be made, and there is no older one; tells of all that is wrong.
        """
        if isinstance(self._settings, ssl.SSLContext):
            return self._settings
        if not isinstance(self._settings, TlsSettings):
            return await _asked(self._settings)
        async with self._lock:
            context = self._context
            if context is None:
                context = self._keep(await run_in_thread(partial(_made, self._settings)))
            elif self._settings.files and anyio.current_time() >= self._look_at:
                context = await self._look(self._settings, context)
            self._look_at = anyio.current_time() + LOOK_SECONDS
            self.endings.look("our own certificate", self.ours)
            return context

    async def _look(self, settings: TlsSettings, context: ssl.SSLContext) -> ssl.SSLContext:
        try:
            changed = await run_in_thread(partial(_made_if_changed, settings, self._stamp))
        except ConfigurationError as error:
            if str(error) != self._refusal:
                self._refusal = str(error)
                _log.warning(
                    "the files of the TLS settings have changed and do not load, so the ones before stay in use: %s",
                    error,
                    extra={"event_name": "tls_reload_failed"},
                )
            return context
        self._refusal = ""
        if changed is None:
            return context
        _log.info("the files of the TLS settings were loaded again", extra={"event_name": "tls_reloaded"})
        return self._keep(changed)

    def _keep(self, made: _Made) -> ssl.SSLContext:
        self._stamp, self._context, self.ours = made
        return made.context


async def _asked(source: Callable[[], Any]) -> ssl.SSLContext:
    answer: Any
    if inspect.iscoroutinefunction(source):
        answer = await cast("Awaitable[Any]", source())
    else:
        answer = await run_in_thread(source)
        if inspect.isawaitable(answer):
            answer = await answer
    if not isinstance(answer, ssl.SSLContext):
        raise ConfigurationError(f"ssl_context returned {type(answer).__name__}; it must return an ssl.SSLContext")
    return answer


class _Made(NamedTuple):
    stamp: _Stamp
    context: ssl.SSLContext
    ours: Certificate | None


def _made(settings: TlsSettings) -> _Made:
    stamp = _stamp(settings)  # before reading: what changes in between is seen the next time
    context = make_context(settings)
    blocks, _ = _own_blocks(settings)
    own = next((block for block in blocks if block.is_certificate), None)
    return _Made(stamp, context, None if own is None else certificate_of_pem(own.text.reveal_bytes()))


def _made_if_changed(settings: TlsSettings, known: _Stamp) -> _Made | None:
    return None if _stamp(settings) == known else _made(settings)


def _stamp(settings: TlsSettings) -> _Stamp:
    """What tells whether a file was replaced, through links, as Kubernetes swaps a folder that is one."""

    def of(path: str) -> tuple[str, int, int, int] | tuple[str, None]:
        try:
            found = os.stat(path)
        except OSError:
            return path, None
        return path, found.st_mtime_ns, found.st_size, found.st_ino

    return tuple(map(of, settings.files))


# ── making one; blocks ───────────────────────────────────────────────────────────────────────────────────────────────


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """Read the files and return a context for clients. Blocks; never asks for a password at a terminal.

    Raises:
        ConfigurationError: with a sentence for each setting that is wrong; none has a secret in it.
    """
    problems: list[str] = []
    context = _with_trust(settings, problems)
    for step in (_add_own, _add_revoked, _set_ciphers):
        try:
            step(context, settings)
        except Problem as problem:
            problems.append(str(problem))
    if problems:
        raise ConfigurationError(problems)
    context.minimum_version = min(VERSIONS[version] for version in settings.versions)
    context.maximum_version = max(VERSIONS[version] for version in settings.versions)
    context.check_hostname = settings.is_name_checked and settings.is_verified
    if not settings.is_verified:
        context.verify_mode = ssl.CERT_NONE
    return context


def _with_trust(settings: TlsSettings, problems: list[str]) -> ssl.SSLContext:
    try:
        context = _trusting(settings)
    except Problem as problem:
        problems.append(str(problem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Python 3.13's defaults are strict, and refuse CAs that everybody else accepts; what works must not depend on the
    # version of Python. Trusting an intermediate, or a broker's own certificate, is common.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _trusting(settings: TlsSettings) -> ssl.SSLContext:
    # create_default_context and not SSLContext alone: it heeds SSLKEYLOGFILE, which people debug with. With a CA given
    # the system's are left out: who names one wants no others.
    path, inline = settings.truststore_location, settings.truststore_certificates
    if path is not None and os.path.isdir(path):
        return ssl.create_default_context(capath=path)
    if path is None and inline is None:
        return ssl.create_default_context()
    where = "ssl_truststore_certificates" if path is None else f"ssl_truststore_location: {path!r}"
    if path is None:
        blocks = pem_blocks(inline or Secret(""))
    else:
        blocks = _store("ssl_truststore_location", path, settings.truststore_password)
    certificates = [block for block in blocks if block.is_certificate]
    if not certificates:
        raise Problem(f"{where} has no certificate; a line -----BEGIN CERTIFICATE----- is expected")
    try:
        # From a file OpenSSL reads without the GIL; from text Python decodes each with it, and a bundle of the system's
        # size holds the event loop for 18 to 38 ms, whatever thread does it.
        with _as_file(joined(certificates)) as file:
            return ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        raise Problem(f"{where} has a certificate that OpenSSL does not read: {_words(error)}") from None


def _add_own(context: ssl.SSLContext, settings: TlsSettings) -> None:
    blocks, where = _own_blocks(settings)
    if not blocks:
        return
    keys = [block for block in blocks if block.is_key]
    certificates = [block for block in blocks if block.is_certificate]
    if not certificates:
        raise Problem(f"{where} has no certificate; a line -----BEGIN CERTIFICATE----- is expected")
    if not keys:
        raise Problem(f"{where} has no private key; a line such as -----BEGIN PRIVATE KEY----- is expected")
    if len(keys) > 1:
        raise Problem(f"{where} has {len(keys)} private keys; which one is meant cannot be told")
    if keys[0].is_encrypted and settings.key_password is None:
        raise Problem(f"{where}: the private key is encrypted; give ssl_key_password")
    password = settings.key_password

    def asked() -> bytes:
        return b"" if password is None else password.reveal_bytes()

    try:
        with _as_file(joined([*keys, *certificates])) as path:
            # Always with a password: without one OpenSSL would ask for it at the terminal, and block.
            context.load_cert_chain(path, password=asked)
    except (ssl.SSLError, ValueError) as error:
        raise Problem(f"{where}: {_key_problem(error, keys[0])}") from None


def _own_blocks(settings: TlsSettings) -> tuple[list[PemBlock], str]:
    if settings.keystore_location is not None:
        path = settings.keystore_location
        blocks = _store("ssl_keystore_location", path, settings.keystore_password or settings.key_password)
        return blocks, f"ssl_keystore_location: {path!r}"
    if settings.certificate_chain is not None and settings.key is not None:
        certificates = [block for block in pem_blocks(settings.certificate_chain) if block.is_certificate]
        keys = [block for block in pem_blocks(settings.key) if block.is_key]
        if not certificates:
            raise Problem("ssl_keystore_certificate_chain has no certificate; -----BEGIN CERTIFICATE----- is expected")
        if not keys:
            raise Problem("ssl_keystore_key has no private key; a line such as -----BEGIN PRIVATE KEY----- is expected")
        return [*keys, *certificates], "ssl_keystore_key with ssl_keystore_certificate_chain"
    if settings.certfile is not None:
        blocks = _store("ssl_certfile", settings.certfile, None)
        where = f"ssl_certfile: {settings.certfile!r}"
        if settings.keyfile is not None:
            keys = [block for block in _store("ssl_keyfile", settings.keyfile, None) if block.is_key]
            if not keys:
                raise Problem(f"ssl_keyfile: {settings.keyfile!r} has no private key")
            blocks = [*keys, *(block for block in blocks if not block.is_key)]
            where += f" with ssl_keyfile: {settings.keyfile!r}"
        return blocks, where
    return [], ""


def _add_revoked(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.crlfile is None:
        return
    _read("ssl_crlfile", settings.crlfile)
    try:
        context.load_verify_locations(settings.crlfile)
    except ssl.SSLError as error:
        raise Problem(f"ssl_crlfile: OpenSSL does not read {settings.crlfile!r}: {_words(error)}") from None
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _set_ciphers(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if not settings.ciphers:
        return
    try:
        names = openssl_ciphers(settings.ciphers)
    except CipherError as error:
        raise Problem(f"ssl_cipher_suites {error}") from None
    if not names:
        return
    try:
        context.set_ciphers(":".join(names))
    except ssl.SSLError:
        raise Problem(f"ssl_cipher_suites: OpenSSL here knows none of {', '.join(names)}") from None


def _store(setting: str, path: str, password: Secret | None) -> list[PemBlock]:
    data = _read(setting, path)
    kind = kind_of(data.reveal_bytes())
    match kind:
        case "PEM":
            return pem_blocks(data)
        case "PKCS12":
            return pem_blocks(_pkcs12_as_pem(setting, path, data, password))
        case "unknown":
            return []  # whoever looks for something in it says what is missing
        case _:
            raise Problem(f"{setting}: {way_out(kind, setting, path)}")


def _read(setting: str, path: str) -> Secret:
    try:
        with open(path, "rb") as file:
            return Secret(file.read())
    except OSError as error:
        raise Problem(f"{setting}: {path!r} cannot be read: {error.strerror or type(error).__name__}") from None


def _pkcs12_as_pem(setting: str, path: str, data: Secret, password: Secret | None) -> Secret:
    try:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
    except ImportError:
        raise Problem(
            f"{setting}: {path!r} is a PKCS#12 store, which needs the extra `aioproducer[crypto]`; or make PEM of it by"
            f" `openssl pkcs12 -in {path} -nodes -out client.pem`"
        ) from None
    try:
        store = pkcs12.load_pkcs12(data.reveal_bytes(), None if password is None else password.reveal_bytes())
    except ValueError:  # its words do not tell a wrong password from a damaged file
        raise Problem(
            f"{setting}: the PKCS#12 store {path!r} does not open: the password is wrong or missing, or it is damaged"
        ) from None
    certificates = [] if store.cert is None else [store.cert]
    pieces = [each.certificate.public_bytes(Encoding.PEM) for each in [*certificates, *store.additional_certs]]
    if store.key is not None:
        pieces.insert(0, store.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Secret(b"".join(pieces))


def _key_problem(error: Exception, key: PemBlock) -> str:
    reason = str(getattr(error, "reason", None) or "")
    if reason == "KEY_VALUES_MISMATCH":
        return "the private key is not that of the first certificate"
    if reason.endswith(("KEY_TOO_SMALL", "MD_TOO_WEAK")):
        return f"too weak for OpenSSL's security level on this host ({_words(error)}): have it issued anew"
    if key.is_encrypted:
        return f"ssl_key_password does not open the private key ({_words(error)})"
    return f"OpenSSL does not read the key or the certificate ({_words(error)})"


def _words(error: Exception) -> str:
    reason: str | None = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if reason else type(error).__name__


@contextmanager
def _as_file(content: Secret) -> Generator[str]:
    """Give a name to what OpenSSL reads from files only: in memory on Linux, else a file that only we can read."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("aioproducer")
        try:
            os.write(descriptor, content.reveal_bytes())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    descriptor, path = tempfile.mkstemp()  # 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(content.reveal_bytes())
        yield path
    finally:
        os.unlink(path)

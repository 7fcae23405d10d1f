"""What went wrong with TLS, in words that say what to do; OpenSSL's own stay in the message."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from aioproducer._net.certificate import date
from aioproducer.errors import AuthenticationError, KafkaConnectionError, KafkaError
from aioproducer.sasl._turns import shown
from aioproducer.security._clock import wall_clock_ms

if TYPE_CHECKING:
    from aioproducer._net.certificate import Certificate

PHASE: Final = "tls"

# X509_V_ERR_…: what OpenSSL says of a certificate of the broker's.
_UNTRUSTED: Final = (
    "the certificate of {host} is not signed by a CA that is trusted here: set ssl_truststore_location to a PEM file"
    " with that CA"
)
_CHAIN: Final = _UNTRUSTED + ", or have the broker send its intermediate certificates"
_STRICT: Final = (
    "the certificate is not as RFC 5280 wants it: have it issued again with key identifiers and key usage, or clear"
    " VERIFY_X509_STRICT in the ssl_context"
)
_SHOW: Final = "`openssl s_client -connect {host}:{port} </dev/null | openssl x509 -noout -dates -ext subjectAltName`"

VERIFY_HINTS: Final[dict[int, str]] = {
    2: _CHAIN,
    3: "there is no list of revoked certificates of its issuer: ssl_crlfile must have one for each issuer",
    9: "the certificate is not valid yet: check the clocks of this host and of whoever issued it; " + _SHOW,
    10: "the certificate has expired: renew the broker's, and check this host's clock; " + _SHOW + " shows the date",
    12: "the list of revoked certificates has expired: renew ssl_crlfile",
    18: _UNTRUSTED,
    19: _UNTRUSTED,
    20: _CHAIN,
    21: _CHAIN,
    23: "the broker's certificate was revoked (ssl_crlfile)",
    62: "connect by a name that is in the certificate ({shown} shows them), or correct advertised.listeners",
    64: "connect by a name or address that is in the certificate ({shown} shows them), or correct advertised.listeners",
    66: "the key of the certificate is too short for OpenSSL's security level here: it takes 2,048 bits or more",
    67: "a CA's key is too short for OpenSSL's security level here: it takes 2,048 bits or more",
    68: "a CA's signature is too weak for OpenSSL's security level here (SHA-1, MD5): have it issued anew with SHA-256",
    85: _STRICT,
    86: _STRICT,
    92: _STRICT,
}
"""By `verify_code`."""

_KNOWN: Final[dict[int, str]] = {
    **dict.fromkeys((9, 10), "it is {period}, and this host's clock says {now}"),
    **dict.fromkeys((2, 18, 19, 20, 21), "it is signed by {issuer}"),
    **dict.fromkeys((62, 64), "it is for {names}, and {called} was called"),
}
"""By `verify_code`, what is said of a certificate that could be read."""

_NEEDS_CERTIFICATE: Final = (
    "the broker asks for a client certificate, or did not like ours: set ssl_keystore_location (certificate and key,"
    " PEM), signed by a CA that it trusts"
)
_REFUSED_CERTIFICATE: Final = (
    "the broker refused our client certificate: it does not trust its issuer, or it has expired"
)
_NO_COMMON: Final = (
    "the broker and we have no TLS version or cipher in common ({versions}; ssl_enabled_protocols, ssl_cipher_suites),"
    " or it does not serve this host name"
)
_NAME: Final = "the broker does not serve the name {name}, which was asked for (SNI)"
_WEAK: Final = (
    "what the broker uses is too weak for OpenSSL's security level on this host: have it use newer keys and ciphers"
)

REFUSALS: Final[dict[str, str]] = {
    "ALERT_BAD_CERTIFICATE": _NEEDS_CERTIFICATE,
    "ALERT_CERTIFICATE_REQUIRED": _NEEDS_CERTIFICATE,
    "ALERT_NO_CERTIFICATE": _NEEDS_CERTIFICATE,
    "ALERT_CERTIFICATE_UNKNOWN": _REFUSED_CERTIFICATE,
    "ALERT_UNKNOWN_CA": _REFUSED_CERTIFICATE,
    "ALERT_CERTIFICATE_EXPIRED": "the broker refused our client certificate, which has expired by its clock: renew it",
    "ALERT_CERTIFICATE_REVOKED": "the broker refused our client certificate, which was revoked",
    "ALERT_UNSUPPORTED_CERTIFICATE": _REFUSED_CERTIFICATE,
    "ALERT_ACCESS_DENIED": _REFUSED_CERTIFICATE,
    "ALERT_DECRYPT_ERROR": _REFUSED_CERTIFICATE,
    "ALERT_PROTOCOL_VERSION": _NO_COMMON,
    "ALERT_HANDSHAKE_FAILURE": _NO_COMMON
    + "; with TLS 1.2, it may ask for a client certificate (ssl_keystore_location)",
    "ALERT_INSUFFICIENT_SECURITY": _NO_COMMON,
    "UNSUPPORTED_PROTOCOL": _NO_COMMON,
    "WRONG_SSL_VERSION": _NO_COMMON,
    "NO_PROTOCOLS_AVAILABLE": _NO_COMMON,
    "UNRECOGNIZED_NAME": _NAME,
    "ALERT_ILLEGAL_PARAMETER": _NAME,
    "KEY_TOO_SMALL": _WEAK,
    "MD_TOO_WEAK": _WEAK,
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "the broker's TLS is too old to be safe: upgrade it",
}
"""For the end of OpenSSL's reason, what it means when the two sides do not come together; trying again is of no use."""

NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"}
)
"""Reasons of OpenSSL's for bytes that are not TLS."""

_GREETINGS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"HTTP", "an HTTP server"),
    (b"<", "an HTTP server"),
    (b"SSH-", "an SSH server"),
    (b"220 ", "a mail or FTP server"),
    (b"-ERR", "a Redis or POP server"),
)


def tls_error(
    error: ssl.SSLError,
    context: ssl.SSLContext,
    host: str,
    port: int,
    *,
    first_bytes: bytes = b"",
    theirs: Certificate | None = None,
    ours: Certificate | None = None,
) -> KafkaError:
    """Return what to raise for an error of OpenSSL's.

    Args:
        error: what it raised.
        context: what was to be agreed on.
        host, port: whom we have called.
        first_bytes: what it said first; nothing when it has spoken TLS already.
        theirs: its certificate, if it could be read.
        ours: the one that we have shown, if there is one.

    Returns:
        AuthenticationError: a certificate does not verify, was refused, or there is no common way to speak TLS.
        KafkaConnectionError: the handshake was cut, or the peer does not speak TLS; that may pass.
    """
    reason = str(getattr(error, "reason", None) or "")
    words = _words(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"the certificate of {host}:{port} was not accepted: {words}{_known(error, host, theirs)}"
        return _refusal(what, _verify_hint(error, host, port))
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or reason == "UNEXPECTED_EOF_WHILE_READING":
        return cut_error(None, host, port)
    refusal = _find(reason)
    if refusal is not None:
        hint = refusal.format(name=host, versions=_versions(context))
        if ours is not None and "certificate" in refusal:
            hint += f"; the one that was shown is {ours.period}, signed by {shown(ours.issuer)}"
        return _refusal(f"TLS with {host}:{port} failed: {words}", hint)
    if reason in NOT_TLS and first_bytes:
        return KafkaConnectionError(
            f"{host}:{port} does not speak TLS ({words}): {_who(first_bytes)}", address=(host, port)
        )
    return KafkaConnectionError(f"TLS with {host}:{port} failed: {words}", address=(host, port))


def cut_error(cause: BaseException | None, host: str, port: int) -> KafkaConnectionError:
    """Return the error for a handshake that the peer cut."""
    how = "" if cause is None or isinstance(cause, ssl.SSLError) else f" ({_words(cause)})"
    return KafkaConnectionError(
        f"{host}:{port} closed the connection during the TLS handshake{how}: if its listener is a plaintext one,"
        " set security_protocol to PLAINTEXT or SASL_PLAINTEXT; otherwise a firewall, or a router that goes by SNI,"
        " does not let this connection through",
        address=(host, port),
    )


def unheard_error(cause: BaseException, host: str, port: int) -> KafkaConnectionError:
    """Return the error for a connection that ended before its first byte of plaintext, with TLS 1.3."""
    return KafkaConnectionError(
        f"{host}:{port} closed the connection right after the TLS handshake ({_words(cause)}): if it asks for a client"
        " certificate, set ssl_keystore_location, or check that it trusts the one that is set; if it asks for SASL,"
        " set security_protocol=SASL_SSL",
        address=(host, port),
    )


def name_error(error: ValueError, host: str, port: int) -> KafkaConnectionError:
    """Return the error for a host whose name no certificate could have."""
    return KafkaConnectionError(
        f"{host!r} is no name that a certificate can be for ({error}): connect by another one, or correct"
        " advertised.listeners of the broker",
        address=(host, port),
    )


def _refusal(what: str, hint: str) -> AuthenticationError:
    error = AuthenticationError(f"{what}; {hint}" if hint else what)
    error.phase = PHASE
    return error


def _known(error: ssl.SSLCertVerificationError, host: str, theirs: Certificate | None) -> str:
    known = _KNOWN.get(error.verify_code)
    if known is None or theirs is None:
        return ""
    return f" ({_filled(known, host, theirs)})"


def _filled(known: str, host: str, theirs: Certificate) -> str:
    return known.format(
        period=theirs.period,
        now=date(wall_clock_ms() / 1000),
        issuer=shown(theirs.issuer),
        names=theirs.shown_names or "no name",
        called=shown(host),
    )


def _verify_hint(error: ssl.SSLCertVerificationError, host: str, port: int) -> str:
    hint = VERIFY_HINTS.get(error.verify_code, "")
    return hint.format(host=host, port=port, shown=_SHOW.format(host=host, port=port))


def _find(reason: str) -> str | None:
    for end, hint in REFUSALS.items():
        if reason.endswith(end):
            return hint
    return None


def _words(error: BaseException) -> str:
    """OpenSSL's words; strerror would tell of errno, which is no number of the system's here."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        reason: str | None = getattr(error, "reason", None)
        return reason.replace("_", " ").lower() if reason else str(error.args[-1])
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _who(first: bytes) -> str:
    for begin, who in _GREETINGS:
        if first.startswith(begin):
            return f"it answers like {who}; is the port right?"
    return "it may be a plaintext listener (security_protocol=PLAINTEXT or SASL_PLAINTEXT), or the port is wrong"


def _versions(context: ssl.SSLContext) -> str:
    lowest, highest = (
        "any" if version in {ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.MAXIMUM_SUPPORTED} else version.name
        for version in (context.minimum_version, context.maximum_version)
    )
    return f"we offer {lowest.replace('_', '.')} to {'the newest' if highest == 'any' else highest.replace('_', '.')}"

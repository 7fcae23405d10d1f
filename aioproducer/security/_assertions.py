"""Signed statements by which a client proves who it is without a shared secret (RFC 7523; KIP-1139, KIP-1258)."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, cast

from aioproducer._public import public_in
from aioproducer._secret import Secret, SecretLike
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._turns import json_object
from aioproducer.security._clock import wall_clock_ms
from aioproducer.security._failures import refused
from aioproducer.security._sources import file_secret, read_file
from aioproducer.security._threads import run_in_thread

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    Path: TypeAlias = str | os.PathLike[str]

Algorithm: TypeAlias = Literal["RS256", "ES256"]
"""The signatures that Kafka knows for assertions (RFC 7518 §3.3, §3.4)."""

ALGORITHMS: Final[tuple[Algorithm, ...]] = ("RS256", "ES256")
_ES256_BYTES: Final = 32


@public_in("aioproducer.security")
class Assertion(Protocol):
    """Gives a signed statement, a JWT, each time it is called."""

    async def __call__(self) -> Secret:
        """Return a statement that is good now. Has to be cancel-safe."""
        ...


@public_in("aioproducer.security")
class AssertionFile:
    """A statement that somebody else signs and keeps fresh in a file (sasl.oauthbearer.assertion.file)."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is read at each call.

        Args:
            path: of a file with nothing but the JWT.
        """
        self._path = path

    async def __call__(self) -> Secret:
        """Return what is in the file. Cancel-safe.

        Raises:
            AuthenticationError: it cannot be read, or is empty.
        """
        return await file_secret(self._path)

    def __repr__(self) -> str:
        return f"AssertionFile({str(self._path)!r})"


@public_in("aioproducer.security")
@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a signed statement says.

    Attributes:
        audience: for whom it is: mostly the address of the token endpoint.
        issuer: who states it: mostly the client's id.
        subject: of whom: mostly the client's id.
        lifetime_seconds: from now on.
        not_before_seconds: so long before now it is good already, for clocks that are late.
        has_id: give each a `jti` of its own, so that the endpoint can refuse one that it has seen.
        others: more claims; those above win.
    """

    audience: str | None = None
    issuer: str | None = None
    subject: str | None = None
    lifetime_seconds: int = 300
    not_before_seconds: int = 60
    has_id: bool = False
    others: Mapping[str, object] = field(default_factory=dict[str, object])

    def payload(self, template: Mapping[str, object], *, now_ms: int, unique_id: str) -> dict[str, object]:
        """Return all claims; what is only true now wins over the template, which wins over the fixed ones.

        Args:
            template: the payload of a template file, or empty.
            now_ms: wall clock.
            unique_id: for `jti`.
        """
        now = now_ms // 1000
        fixed = {"aud": self.audience, "iss": self.issuer, "sub": self.subject}
        return {
            **self.others,
            **{name: value for name, value in fixed.items() if value is not None},
            **template,
            "iat": now,
            "exp": now + self.lifetime_seconds,
            "nbf": now - self.not_before_seconds,
            **({"jti": unique_id} if self.has_id else {}),
        }


@public_in("aioproducer.security")
class SignedAssertion:
    """A statement that is signed here, anew at each call; needs the extra `crypto`.

    Example:
        from aioproducer.security import Claims, SignedAssertion

        assertion = SignedAssertion(
            "/etc/kafka/client-key.pem", claims=Claims(issuer="orders", subject="orders", audience="https://login.example.com")
        )
    """

    def __init__(
        self,
        private_key_file: Path | None = None,
        *,
        private_key: SecretLike | None = None,
        passphrase: SecretLike | None = None,
        algorithm: Algorithm = "RS256",
        claims: Claims | None = None,
        key_id: str | None = None,
        template_file: Path | None = None,
    ) -> None:
        """Take what is signed with; files are read at each call.

        Args:
            private_key_file: PEM (PKCS#8), encrypted or not.
            private_key: its text, instead of the file.
            passphrase: of an encrypted key.
            algorithm: RS256 for RSA keys, ES256 for keys on P-256.
            claims: what is stated.
            key_id: the header `kid`, by which the endpoint finds the public key.
            template_file: JSON with "header" and "payload", both optional; see Claims for what wins.

        Raises:
            ConfigurationError: neither or both of the keys are given, the algorithm is not one of those, or the package
                `cryptography` is missing.
        """
        # First of all: what is raised below shows no text of a key in its traceback.
        private_key = None if private_key is None else Secret(private_key)
        passphrase = None if passphrase is None else Secret(passphrase)
        self._key_file = private_key_file
        self._algorithm: Algorithm = algorithm
        if (private_key_file is None) == (private_key is None):
            raise ConfigurationError("a signed assertion needs one of private_key_file and private_key")
        if algorithm not in ALGORITHMS:
            raise ConfigurationError(f"assertions are signed with {' or '.join(ALGORITHMS)}, not {algorithm!r}")
        check_cryptography()
        self._key = private_key
        self._passphrase = passphrase
        self._claims = claims or Claims()
        self._key_id = key_id
        self._template_file = template_file

    async def __call__(self) -> Secret:
        """Return a new statement, signed in a thread. Cancel-safe.

        Raises:
            AuthenticationError: a file cannot be read or is not what it should be, the passphrase does not open the
                key, or the key is of another kind than the algorithm wants.
        """
        return await run_in_thread(lambda: self._signed(now_ms=wall_clock_ms(), unique_id=str(uuid.uuid4())))

    def _signed(self, *, now_ms: int, unique_id: str) -> Secret:
        template = {} if self._template_file is None else _template(self._template_file)
        header = {"alg": self._algorithm, "typ": "JWT", **({"kid": self._key_id} if self._key_id else {})}
        payload = self._claims.payload(template.get("payload", {}), now_ms=now_ms, unique_id=unique_id)
        key = self._key or read_file(cast("Path", self._key_file))
        signed = f"{_part({**header, **template.get('header', {})})}.{_part(payload)}"
        return Secret(f"{signed}.{_base64url(_signature(self._algorithm, key, self._passphrase, signed.encode()))}")

    def __repr__(self) -> str:
        return f"SignedAssertion({str(self._key_file or 'key')!r}, algorithm={self._algorithm!r})"


def check_cryptography() -> None:
    """Refuse if `cryptography` is not installed.

    Raises:
        ConfigurationError: with what to install.
    """
    if find_spec("cryptography") is None:
        raise ConfigurationError(
            "signing needs the package cryptography, which is not installed: pip install 'aioproducer[crypto]'"
        )


def _template(path: Path) -> dict[str, dict[str, object]]:
    fields = json_object(read_file(path).reveal_bytes())
    parts = {name: (fields or {}).get(name, {}) for name in ("header", "payload")}
    if fields is None or not all(isinstance(part, dict) for part in parts.values()):
        raise refused(f'{path} is no template: JSON such as {{"header": {{"kid": "k"}}, "payload": {{"x": 1}}}}')
    return cast("dict[str, dict[str, object]]", parts)


def _signature(algorithm: Algorithm, pem: Secret, passphrase: Secret | None, text: bytes) -> bytes:
    """Return the signature as JWS has it: of ES256 both numbers in 32 bytes each, not DER (RFC 7518 §3.4)."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

    key = _private_key(pem, passphrase)
    if algorithm == "RS256":
        if not isinstance(key, rsa.RSAPrivateKey):
            raise refused("the private key is not RSA, which RS256 needs")
        return key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise refused("the private key is not on P-256, which ES256 needs")
    r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(_ES256_BYTES, "big") + s.to_bytes(_ES256_BYTES, "big")


def _private_key(pem: Secret, passphrase: Secret | None) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    is_encrypted = b"ENCRYPTED" in pem.reveal_bytes()
    if is_encrypted and passphrase is None:
        raise refused("the private key is encrypted, and no passphrase was given")
    try:
        return load_pem_private_key(
            pem.reveal_bytes(), None if passphrase is None or not is_encrypted else passphrase.reveal_bytes()
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):  # whose words are about the content
        pass
    if is_encrypted:
        raise refused("the passphrase does not open the private key")
    raise refused("the private key is not PEM as PKCS#8 has it: it begins with -----BEGIN PRIVATE KEY-----")


def _part(content: Mapping[str, object]) -> str:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

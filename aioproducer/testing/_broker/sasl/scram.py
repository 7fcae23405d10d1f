"""SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677; Java classes ScramSaslServer and ScramMessages).

1. The client sends its name and a nonce. 2. We send the nonce made longer, salt and iterations. 3. The client proves
that it has the key. 4. We prove that we have it, too.

Stricter than Kafka in one thing: the channel binding in the client's last message must be that of its first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

from aioproducer.testing._broker.sasl.steps import Authenticated, Challenge, SaslError, Step
from aioproducer.testing._broker.users import SCRAM_HASHES

if TYPE_CHECKING:
    from aioproducer.testing._broker.users import Login, ScramCredential

# Kafka's grammar (ScramMessages): bytes 0x01 to 0x7F only, so a name with others can never log in.
_NAME: Final = r"(?:[\x01-\x2b\x2d-\x3c\x3e-\x7f]|=2C|=3D)+"
_EXTENSIONS: Final = r"(?:,[A-Za-z]+=[\x01-\x2b\x2d-\x7f]+)*"
_NONCE: Final = r"[\x21-\x2b\x2d-\x7e]+"
_BASE64: Final = r"(?:[A-Za-z0-9/+]{4})*(?:[A-Za-z0-9/+]{3}=|[A-Za-z0-9/+]{2}==)?"
_FIRST: Final = re.compile(
    rf"(?P<header>n,(?:a=(?P<authzid>{_NAME}))?,)(?P<bare>(?:m=[\x01-\x2b\x2d-\x7f]+,)?"
    rf"n=(?P<name>{_NAME}),r=(?P<nonce>{_NONCE})(?P<extensions>{_EXTENSIONS}))"
)
_FINAL: Final = re.compile(
    rf"(?P<without_proof>c=(?P<binding>{_BASE64}),r=(?P<nonce>{_NONCE}){_EXTENSIONS}),p=(?P<proof>{_BASE64})"
)


class Scram:
    """The broker's side.

    Args:
        nonce: printable ASCII without a comma, never the same twice.
        wall_ms: milliseconds since 1970, for delegation tokens.
    """

    def __init__(self, mechanism: str, login: Login, nonce: str, wall_ms: int) -> None:
        self._mechanism = mechanism
        self._hash_name = SCRAM_HASHES[mechanism]
        self._login = login
        self._nonce = nonce
        self._wall_ms = wall_ms
        self._credential: ScramCredential | None = None
        self._user = ""
        self._expires_at_ms: int | None = None
        self._header = self._bare = self._server_first = ""

    def step(self, token: bytes) -> Step:
        """Take the client's first message, then its final one."""
        return self._first(token) if self._credential is None else self._final(token, self._credential)

    def _first(self, token: bytes) -> Challenge:
        found = _FIRST.fullmatch(_text(token))
        if found is None:
            raise SaslError
        name = found["name"].replace("=2C", ",").replace("=3D", "=")
        self._credential = self._find(name, is_token=",tokenauth=true" in found["extensions"].lower())
        authorization_id = found["authzid"]
        if authorization_id and authorization_id.replace("=2C", ",").replace("=3D", "=") != name:
            raise SaslError(
                "Authentication failed: Client requested an authorization id that is different from username"
            )
        self._header, self._bare = found["header"], found["bare"]
        self._nonce = found["nonce"] + self._nonce
        salt = base64.b64encode(self._credential.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={self._credential.iterations}"
        return Challenge(self._server_first.encode())

    def _find(self, name: str, *, is_token: bool) -> ScramCredential:
        if not is_token:
            self._user = name
            found = self._login.scram(self._mechanism, name)
            if found is None:
                raise SaslError
            return found
        token = self._login.token(name)
        if token is None or token.expires_at_ms <= self._wall_ms:
            raise SaslError
        self._user, self._expires_at_ms = token.owner, token.expires_at_ms
        return self._login.token_scram(self._mechanism, token)

    def _final(self, token: bytes, credential: ScramCredential) -> Authenticated:
        found = _FINAL.fullmatch(_text(token))
        if found is None or found["nonce"] != self._nonce:
            raise SaslError
        if found["binding"] != base64.b64encode(self._header.encode()).decode():
            raise SaslError
        signed = f"{self._bare},{self._server_first},{found['without_proof']}".encode()
        signature = hmac.digest(credential.stored_key, signed, self._hash_name)
        proof = _decoded(found["proof"])
        if len(proof) != len(signature):
            raise SaslError
        client_key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.new(self._hash_name, client_key).digest(), credential.stored_key):
            raise SaslError
        verifier = base64.b64encode(hmac.digest(credential.server_key, signed, self._hash_name))
        return Authenticated(self._user, b"v=" + verifier, self._expires_at_ms)


def _text(token: bytes) -> str:
    try:
        return token.decode()
    except UnicodeDecodeError:
        raise SaslError from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SaslError from None

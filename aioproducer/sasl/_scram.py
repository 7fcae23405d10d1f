"""SCRAM-SHA-256 and SCRAM-SHA-512: both sides prove that they know the password, and neither sends it.

RFC 5802 and 7677; KIP-84, and KIP-48 for delegation tokens. Without channel binding and without SASLprep, as Apache
Kafka has it.
"""

from __future__ import annotations

import binascii
import hmac
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from aioproducer._public import public_in
from aioproducer._secret import Secret, SecretLike
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._plain import check_credentials
from aioproducer.sasl._scram_keys import Derivation, ScramKeyCache, ScramKeys, client_proof, server_signature
from aioproducer.sasl._scram_messages import ServerFirst, is_nonce, read_server_final, read_server_first
from aioproducer.sasl._turns import Exchange, Turn

if TYPE_CHECKING:
    from aioproducer.sasl._mechanism import Step

ScramName: TypeAlias = Literal["SCRAM-SHA-256", "SCRAM-SHA-512"]
"""The mechanisms of this family that Kafka has."""

HASHES: Final[dict[ScramName, str]] = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
"""The hash of each, as hashlib names it."""

GS2_HEADER: Final = b"n,,"
"""No channel binding (brokers refuse "y"), no authorization id."""

NONCE_CHARACTERS: Final = 16
"""A shorter nonce is refused; 24 random bytes in base64 are 32 characters."""


@public_in("aioproducer.sasl")
class Scram:
    """The mechanisms SCRAM-SHA-256 and SCRAM-SHA-512.

    `next` with the broker's first message returns a function, since deriving the keys takes milliseconds; bytes when
    `cache` has them.

    Example:
        import secrets

        from aioproducer.sasl import Scram

        mechanism = Scram("SCRAM-SHA-512", "alice", "alice-password", nonce=secrets.token_urlsafe(24))
        assert mechanism.first().startswith(b"n,,n=alice,r=")
    """

    __slots__ = (
        "_cache",
        "_derivation",
        "_exchange",
        "_first_bare",
        "_hash_name",
        "_keys",
        "_nonce",
        "_password",
        "_signed",
        "_username",
    )

    def __init__(
        self,
        name: ScramName,
        username: str,
        password: SecretLike,
        *,
        nonce: str,
        is_delegation_token: bool = False,
        cache: ScramKeyCache | None = None,
    ) -> None:
        """Take what one exchange needs.

        Args:
            name: the mechanism.
            username: the user, or the id of a delegation token. Apache Kafka accepts ASCII only.
            password: the password, or the HMAC of the token in base64.
            nonce: random, new for each exchange: at least 16 printable ASCII characters without a comma.
            is_delegation_token: the credentials are those of a delegation token (KIP-48).
            cache: keys of earlier exchanges; what this one derives is added to it once the broker has proved itself.

        Raises:
            ConfigurationError: user name or password is empty or contains NUL, or the name or nonce is not as above.
        """
        # Filled before anything is checked: a traceback with locals shows this object.
        self._exchange = Exchange(name)
        self._username = username
        self._password = password = Secret(password)
        check_credentials(name, username, password)
        if name not in HASHES:
            raise ConfigurationError(f"there is no mechanism {name!r}; SCRAM has {' and '.join(HASHES)}")
        if len(nonce) < NONCE_CHARACTERS or not is_nonce(nonce):
            raise ConfigurationError(
                f"a nonce for {name} has at least {NONCE_CHARACTERS} printable ASCII characters and no comma"
            )
        self._hash_name = HASHES[name]
        self._nonce = nonce
        self._cache = cache
        self._first_bare = _first_bare(username, nonce, is_delegation_token)
        self._derivation: Derivation | None = None
        self._keys: ScramKeys | None = None
        self._signed = b""

    @property
    def name(self) -> str:
        """The mechanism: SCRAM-SHA-256 or SCRAM-SHA-512."""
        return self._exchange.name

    @property
    def hint(self) -> str:
        """What a refusal means: the broker has one text for all, but the step tells no user from a wrong password."""
        if not self._username.isascii():
            return "Apache Kafka accepts ASCII user names only with SCRAM, and this one has other characters"
        if self._keys is None:
            return f"unknown user {self._username!r}, or it has no {self.name} credential"
        return f"wrong password for user {self._username!r}"

    def first(self) -> bytes:
        """Return client-first-message: the user name and our nonce."""
        self._exchange.begin()
        return GS2_HEADER + self._first_bare

    def next(self, challenge: bytes) -> Step:
        """Take server-first-message, then server-final-message; see Mechanism."""
        match self._exchange.answered():
            case Turn.THEIRS_FIRST:
                return self._after_server_first(read_server_first(self._exchange, challenge, self._nonce))
            case _:
                self._after_server_final(read_server_final(self._exchange, challenge))
                return None

    def _after_server_first(self, server_first: ServerFirst) -> Step:
        derivation = Derivation(self._hash_name, self._password, server_first.salt, server_first.iterations)
        self._derivation = derivation
        known = None if self._cache is None else self._cache.get(self._username, derivation)

        def answer() -> bytes:
            return self._client_final(server_first, known or derivation.derive())

        return answer if known is None else answer()

    def _client_final(self, server_first: ServerFirst, keys: ScramKeys) -> bytes:
        channel_binding = binascii.b2a_base64(GS2_HEADER, newline=False)
        without_proof = b"c=" + channel_binding + b",r=" + server_first.nonce.encode()
        # The broker's message as it came: one that is put together anew would lack extensions that were signed.
        self._signed = b",".join((self._first_bare, server_first.text, without_proof))
        self._keys = keys
        self._exchange.turn = Turn.THEIRS_LAST
        proof = client_proof(self._hash_name, keys, self._signed)
        return without_proof + b",p=" + binascii.b2a_base64(proof, newline=False)

    def _after_server_final(self, signature: bytes) -> None:
        keys, derivation = self._keys, self._derivation
        assert keys is not None and derivation is not None
        if not hmac.compare_digest(signature, server_signature(self._hash_name, keys, self._signed)):
            raise self._exchange.refused(
                "the broker's signature is wrong: it accepted us without knowing our password, so it is not the broker"
                " it claims to be; check bootstrap_servers, and use SASL_SSL"
            )
        if self._cache is not None:
            self._cache.put(self._username, derivation, keys)

    def __repr__(self) -> str:
        return f"Scram({self.name!r}, username={self._username!r})"


def _first_bare(username: str, nonce: str, is_delegation_token: bool) -> bytes:
    """client-first-message-bare. The order of the two replacements counts: "=" is what the second one brings in."""
    escaped = username.replace("=", "=3D").replace(",", "=2C")
    extension = ",tokenauth=true" if is_delegation_token else ""
    return f"n={escaped},r={nonce}{extension}".encode()

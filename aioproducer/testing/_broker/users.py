"""Users: who may log in, and with what.

As a broker does, SCRAM's side keeps salted keys and no password; PLAIN's has to know the password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

SCRAM_HASHES: Final[Mapping[str, str]] = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
SALT_BYTES: Final = 16


@dataclass(frozen=True, slots=True, repr=False)
class ScramCredential:
    """What a broker keeps of a password for one SCRAM mechanism (RFC 5802; Java class ScramCredential)."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class User:
    """One who may log in.

    Attributes:
        password: of PLAIN, and what SCRAM's keys are made of.
        mechanisms: those that the user may log in with; None for all.
    """

    password: str
    mechanisms: frozenset[str] | None = None

    def may_use(self, mechanism: str) -> bool:
        """Whether the user has a credential for it."""
        return self.mechanisms is None or mechanism in self.mechanisms


@dataclass(frozen=True, slots=True, repr=False)
class DelegationToken:
    """A token that somebody else logs in with, for its owner (KIP-48).

    Attributes:
        token_id: the user name of SCRAM.
        hmac: its password, in base64.
        owner: the user who made it.
        expires_at_ms: wall clock, milliseconds since 1970.
    """

    token_id: str
    hmac: str
    owner: str
    expires_at_ms: int


class Login(Protocol):
    """What a mechanism asks about those who log in; a Users is one."""

    def is_password(self, name: str, password: str) -> bool: ...
    def scram(self, mechanism: str, name: str) -> ScramCredential | None: ...
    def token(self, token_id: str) -> DelegationToken | None: ...
    def token_scram(self, mechanism: str, token: DelegationToken) -> ScramCredential: ...


class Users:
    """The users of a cluster and its delegation tokens.

    Args:
        iterations: of SCRAM's keys, at least 4096 as in Kafka.
        random_bytes: makes so many bytes, for salts.
    """

    def __init__(self, iterations: int, random_bytes: Callable[[int], bytes]) -> None:
        self._iterations = iterations
        self._random_bytes = random_bytes
        self._users: dict[str, User] = {}
        self._tokens: dict[str, DelegationToken] = {}
        self._scram: dict[tuple[str, str, str], ScramCredential] = {}

    def set(self, name: str, password: str, mechanisms: Collection[str] | None = None) -> None:
        """Add a user, or change the password."""
        self._users[name] = User(password, None if mechanisms is None else frozenset(mechanisms))

    def remove(self, name: str) -> None:
        """Remove a user; connections that are authenticated stay."""
        self._users.pop(name, None)

    def names(self) -> list[str]:
        """Those who may log in, in the order in which they were added."""
        return list(self._users)

    def password(self, name: str) -> str:
        """The password, for the settings of a client. Raises KeyError for one that is not known."""
        return self._users[name].password

    def is_password(self, name: str, password: str) -> bool:
        """Whether a user may log in with PLAIN, and this is the password."""
        user = self._users.get(name)
        if user is None or not user.may_use("PLAIN"):
            return False
        return hmac.compare_digest(user.password.encode(), password.encode())

    def scram(self, mechanism: str, name: str) -> ScramCredential | None:
        """What is kept of a user's password; None for a user without one for this mechanism."""
        user = self._users.get(name)
        if user is None or not user.may_use(mechanism):
            return None
        return self._credential(mechanism, name, user.password)

    def add_token(self, owner: str, expires_at_ms: int) -> DelegationToken:
        """Make a delegation token for a user."""
        token_id = base64.urlsafe_b64encode(self._random_bytes(16)).decode().rstrip("=")
        token = DelegationToken(token_id, base64.b64encode(self._random_bytes(64)).decode(), owner, expires_at_ms)
        self._tokens[token_id] = token
        return token

    def token(self, token_id: str) -> DelegationToken | None:
        """A delegation token, also one that has expired."""
        return self._tokens.get(token_id)

    def token_scram(self, mechanism: str, token: DelegationToken) -> ScramCredential:
        """What is kept of a token's HMAC, as of a password."""
        return self._credential(mechanism, token.token_id, token.hmac)

    def _credential(self, mechanism: str, name: str, password: str) -> ScramCredential:
        # Made when it is first asked for: the keys cost milliseconds, and most clusters of tests use one mechanism.
        key = (mechanism, name, password)
        if key not in self._scram:
            salt = self._random_bytes(SALT_BYTES)
            self._scram[key] = scram_credential(SCRAM_HASHES[mechanism], password, salt, self._iterations)
        return self._scram[key]


def scram_credential(hash_name: str, password: str, salt: bytes, iterations: int) -> ScramCredential:
    """The keys of a password (RFC 5802 section 3); the password as it is, as Kafka does not apply SASLprep."""
    salted = hashlib.pbkdf2_hmac(hash_name, password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    return ScramCredential(
        salt=salt,
        iterations=iterations,
        stored_key=hashlib.new(hash_name, client_key).digest(),
        server_key=hmac.digest(salted, b"Server Key", hash_name),
    )

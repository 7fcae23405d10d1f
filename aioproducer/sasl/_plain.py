"""PLAIN: user name and password, as they are (RFC 4616). Without TLS everybody on the way can read them."""

from __future__ import annotations

from typing import Final

from aioproducer._public import public_in
from aioproducer._secret import Secret, SecretLike
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._turns import Exchange

PLAIN: Final = "PLAIN"


@public_in("aioproducer.sasl")
class Plain:
    """The mechanism PLAIN: one message, and an answer without content.

    Example:
        >>> mechanism = Plain("alice", "alice-password")
        >>> mechanism.first()
        b'\\x00alice\\x00alice-password'
        >>> mechanism.next(b"") is None
        True
    """

    __slots__ = ("_exchange", "_password", "_username")

    def __init__(self, username: str, password: SecretLike) -> None:
        """Take the credentials, which are sent as UTF-8 and otherwise unchanged.

        Raises:
            ConfigurationError: one is empty or contains NUL, which separates them in the message.
        """
        self._password = password = Secret(password)
        self._username = username
        self._exchange = Exchange(PLAIN)
        check_credentials(PLAIN, username, password)

    @property
    def name(self) -> str:
        """PLAIN."""
        return PLAIN

    @property
    def hint(self) -> str:
        """What a refusal means."""
        return f"unknown user {self._username!r}, or wrong password"

    def first(self) -> bytes:
        """Return the only message; it holds the password."""
        self._exchange.begin()
        # The authorization id stays empty: brokers refuse one that differs from the user name, and need none.
        return b"\0".join((b"", self._username.encode(), self._password.reveal_bytes()))

    def next(self, challenge: bytes) -> None:
        """Take the answer, which is empty.

        Raises:
            ProtocolError: it is not.
        """
        self._exchange.answered()
        if challenge:
            raise self._exchange.malformed(f"the broker's answer has {len(challenge)} bytes where none are expected")

    def __repr__(self) -> str:
        return f"Plain(username={self._username!r})"


def check_credentials(mechanism: str, username: str, password: Secret) -> None:
    """Refuse a user name or password that cannot be right.

    Raises:
        ConfigurationError: one is empty or contains NUL, or the user name has no UTF-8 form; with every problem.
    """
    problems: list[str] = []
    if not username:
        problems.append(f"{mechanism} needs a user name: it is empty")
    if "\0" in username:
        problems.append(f"the user name for {mechanism} contains NUL at {username.index(chr(0))}")
    if any("\ud800" <= character <= "\udfff" for character in username):
        problems.append(f"the user name for {mechanism} has no UTF-8 form: it contains a lone surrogate")
    if not password:
        problems.append(f"{mechanism} needs a password: it is empty")
    position = password.reveal_bytes().find(0)
    if position >= 0:
        problems.append(f"the password for {mechanism} contains NUL at {position}")
    if problems:
        raise ConfigurationError(problems)

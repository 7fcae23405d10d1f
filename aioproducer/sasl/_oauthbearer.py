"""OAUTHBEARER: a token says who we are (RFC 7628; KIP-255, and KIP-342 for extensions).

Where tokens come from is the business of `aioproducer.security`. What the broker would answer with a bare
"authentication failed" is checked before anything is sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aioproducer._public import public_in
from aioproducer._secret import Secret, SecretLike
from aioproducer.errors import AuthenticationError, ConfigurationError
from aioproducer.sasl._turns import Exchange, Turn, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

OAUTHBEARER: Final = "OAUTHBEARER"

_SEPARATOR: Final = b"\x01"
_TOKEN: Final = re.compile(rb"[-_~+/.a-zA-Z0-9]+=*")
_EXTENSION_NAME: Final = re.compile(r"[A-Za-z]+")
_EXTENSION_VALUE: Final = re.compile(r"[\x21-\x7e \t\r\n]+")
_REASONS: Final = {
    "invalid_token": "the token is expired, not yet valid, of another issuer or for another audience",
    "invalid_request": "the message was not understood",
    "insufficient_scope": "the token lacks a scope",
}
"""What the statuses mean (RFC 6750 §3.1)."""


@public_in("aioproducer.sasl")
class OAuthBearer:
    """The mechanism OAUTHBEARER: one message with the token, and an answer without content.

    A broker that refuses answers with JSON first, which has to be answered with one byte; only then it says no.

    Example:
        >>> mechanism = OAuthBearer("header.claims.signature", extensions={"logicalCluster": "lkc-1"})
        >>> mechanism.first()
        b'n,,\\x01auth=Bearer header.claims.signature\\x01logicalCluster=lkc-1\\x01\\x01'
        >>> mechanism.next(b"") is None
        True
    """

    __slots__ = ("_exchange", "_extensions", "_refusal", "_token")

    def __init__(self, token: SecretLike, *, extensions: Mapping[str, str] | None = None) -> None:
        """Take what one exchange needs.

        Args:
            token: without "Bearer " and whitespace.
            extensions: sent with it, in this order: names of letters, values of printable ASCII (KIP-342).

        Raises:
            AuthenticationError: the token has characters that no token may have (RFC 6750 §2.1).
            ConfigurationError: a name or value of the extensions is not as above.
        """
        token = Secret(token)
        self._exchange = Exchange(OAUTHBEARER)
        self._token = token
        self._extensions = dict(extensions or {})
        self._refusal = ""
        check_token(token)
        check_extensions(self._extensions)

    @property
    def name(self) -> str:
        """OAUTHBEARER."""
        return OAUTHBEARER

    @property
    def hint(self) -> str:
        """What a refusal means: the broker's reason where it has told one."""
        return self._refusal or "the token, or an extension, was not accepted"

    def first(self) -> bytes:
        """Return the only message; it holds the token."""
        self._exchange.begin()
        extensions = [f"{name}={value}".encode() for name, value in self._extensions.items()]
        fields = [b"n,,", b"auth=Bearer " + self._token.reveal_bytes(), *extensions, b"", b""]
        return _SEPARATOR.join(fields)

    def next(self, challenge: bytes) -> bytes | None:
        """Take the answer: an empty one is success, JSON a refusal that has to be answered before it counts.

        Raises:
            AuthenticationError: a refusal that was answered, and still the broker did not end it with an error code.
            ProtocolError: the answer is neither empty nor JSON.
        """
        turn = self._exchange.answered()
        if turn is Turn.THEIRS_LAST:
            raise self._exchange.refused(self._refusal)
        if not challenge:
            return None
        self._refusal = refusal_text(self._exchange.json(challenge))
        self._exchange.turn = Turn.THEIRS_LAST
        return _SEPARATOR

    def __repr__(self) -> str:
        return f"OAuthBearer(extensions={self._extensions!r})"


def refusal_text(answer: Mapping[str, object]) -> str:
    """Return in words what the JSON of a refusal says (RFC 7628 §3.2.2)."""
    status = answer.get("status")
    if not isinstance(status, str):
        return "the broker refuses the token without a status"
    meaning = _REASONS.get(status)
    parts = [f"the broker refuses the token: {shown(status)}" + (f" ({meaning})" if meaning else "")]
    for name in ("scope", "openid-configuration"):
        value = answer.get(name)
        if isinstance(value, str) and value:
            parts.append(f"{name} {shown(value)}")
    return ", ".join(parts)


def check_token(token: Secret) -> None:
    """Refuse a token that no broker would accept.

    Raises:
        AuthenticationError: with what is wrong, and where.
    """
    problem = _problem_of(token.reveal_bytes())
    if problem:
        raise AuthenticationError(f"{OAUTHBEARER}: the token cannot be sent: {problem}")


def _problem_of(token: bytes) -> str:
    if not token:
        return "it is empty"
    if token[:7].lower() == b"bearer ":
        return 'it begins with "Bearer ", which is added when it is sent'
    if token != token.strip():
        return "it begins or ends with whitespace, such as a file's last newline"
    match = _TOKEN.match(token)
    end = 0 if match is None else match.end()
    return f"character {end} of {len(token)} is none that a token may have" if end != len(token) else ""


def check_extensions(extensions: Mapping[str, str]) -> None:
    """Refuse extensions that no broker would accept.

    Raises:
        ConfigurationError: with all problems; it names the extensions, and shows no value.
    """
    problems: list[str] = []
    for name, value in extensions.items():
        if name == "auth" or _EXTENSION_NAME.fullmatch(name) is None:
            problems.append(f"{OAUTHBEARER} extension {name!r}: a name has letters only, and is not auth")
        if _EXTENSION_VALUE.fullmatch(value) is None:
            problems.append(f"{OAUTHBEARER} extension {name!r}: its value is empty or has other than printable ASCII")
    if problems:
        raise ConfigurationError(problems)

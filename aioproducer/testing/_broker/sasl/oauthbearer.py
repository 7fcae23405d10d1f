"""OAUTHBEARER (RFC 7628; Java classes OAuthBearerSaslServer and OAuthBearerClientInitialResponse).

A token that is refused is answered in two steps: JSON as if all were well, and the failure once the client has sent a
single byte 0x01 to it. What is not a message of the mechanism is refused at once.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from aioproducer.testing._broker.sasl.steps import Authenticated, Challenge, SaslError, Step
from aioproducer.testing._broker.tokens import TokenError

if TYPE_CHECKING:
    from aioproducer.testing._broker.tokens import TokenValidator

_SEPARATOR: Final = "\x01"
_NAME: Final = r"(?:[\x02-\x2b\x2d-\x3c\x3e-\x7f]|=2C|=3D)+"
_PAIR: Final = r"[A-Za-z]+=[\x21-\x7e \t\r\n]+\x01"
_INITIAL: Final = re.compile(rf"n,(?:a=(?P<authzid>{_NAME}))?,\x01(?P<pairs>(?:{_PAIR})*)\x01")
_AUTH: Final = re.compile(r"(?P<scheme>\w+) +(?P<token>[-_~+/.a-zA-Z0-9]+=*)", re.ASCII)
_GIVEN_UP: Final = b"\x01"


class OAuthBearer:
    """The broker's side.

    Attributes:
        extensions: what the client has said besides its token.
    """

    def __init__(self, validate: TokenValidator, wall_ms: int) -> None:
        self._validate = validate
        self._wall_ms = wall_ms
        self._failure: str | None = None
        self.extensions: dict[str, str] = {}

    def step(self, token: bytes) -> Step:
        """Take the client's message, or its consent to have failed."""
        if self._failure is not None and token == _GIVEN_UP:
            raise SaslError(self._failure)
        authorization_id, bearer = self._parse(token)
        try:
            accepted = self._validate(bearer, self._wall_ms)
        except TokenError as error:
            told = {"status": error.status} | ({} if error.scope is None else {"scope": error.scope})
            self._failure = json.dumps(told, separators=(",", ":"))
            return Challenge(self._failure.encode())
        if authorization_id and authorization_id != accepted.principal:
            raise SaslError(
                f"Authentication failed: Client requested an authorization id ({authorization_id}) that is different "
                f"from the token's principal name ({accepted.principal})"
            )
        return Authenticated(accepted.principal, expires_at_ms=accepted.expires_at_ms)

    def _parse(self, data: bytes) -> tuple[str, str]:
        """The authorization id and the token."""
        found = _INITIAL.fullmatch(data.decode("utf-8", "replace"))
        if found is None:
            raise SaslError
        pairs = dict(pair.split("=", 1) for pair in found["pairs"].split(_SEPARATOR) if pair)
        auth = _AUTH.fullmatch(pairs.pop("auth", ""))
        if auth is None or auth["scheme"].lower() != "bearer":
            raise SaslError
        self.extensions = pairs
        return (found["authzid"] or "").replace("=2C", ",").replace("=3D", "="), auth["token"]

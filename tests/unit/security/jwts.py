"""Tokens for tests."""

from __future__ import annotations

import base64
import json


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def jwt(**claims: object) -> str:
    """A JWT with these claims, and no signature to speak of."""
    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"


def claims_in(token: str, number: int = 1) -> dict[str, object]:
    """The claims of a JWT, or (number 0) its header."""
    text = token.split(".")[number]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found

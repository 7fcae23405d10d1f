"""Tokens in files (Java's CachedFileTest and testFileTokenRetrieverHandlesNewline)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._token_file import TokenFile
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.jwts import jwt

if TYPE_CHECKING:
    from pathlib import Path


async def test_it_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    provider = TokenFile(path, extensions={"a": "b"})
    path.write_text(jwt(exp=100, sub="alice") + "\r\n")
    token = await provider()
    assert (token.expires_at_ms, token.principal, dict(token.extensions)) == (100_000, "alice", {"a": "b"})
    path.write_text("opaque")
    assert (await provider()).value == Secret("opaque")


async def test_a_link_that_is_swapped_is_followed(tmp_path: Path) -> None:
    # As Kubernetes does: ..data is renamed over, what points through it stays.
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(name)
    link = tmp_path / "..data"
    link.symlink_to("first")
    provider = TokenFile(link / "token")
    assert (await provider()).value == Secret("first")
    (tmp_path / "new").symlink_to("second")
    (tmp_path / "new").rename(link)
    assert (await provider()).value == Secret("second")


async def test_a_file_that_is_not_there_may_come(tmp_path: Path) -> None:
    assert (await error_when_awaited(TokenFile(tmp_path / "token")())).retriable


def test_a_bad_extension_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="extension"):
        TokenFile("/t", extensions={"auth": "x"})


def test_it_shows_its_path() -> None:
    assert repr(TokenFile("/t")) == "TokenFile('/t')"

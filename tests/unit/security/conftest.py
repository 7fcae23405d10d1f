"""What the tests of credentials share: a server, and an environment without what they read from it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.unit.security.http_server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of clouds or proxies, whatever this machine has."""
    for name in list(os.environ):
        if name.upper().startswith(("AWS_", "AZURE_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)

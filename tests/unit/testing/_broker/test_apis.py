"""What is listed is spoken, every API can be made to fail, and the documentation says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aioproducer._wire.messages import REQUESTS, RESPONSES, ApiKey
from aioproducer.testing._broker.apis import HANDLERS
from aioproducer.testing._broker.requests import Request
from tests.unit.testing._broker.helpers import core

DOCUMENT = Path(__file__).parents[4] / "docs" / "embedded.md"
ROW = re.compile(r"\| (\w+) \((\d+)\) \| (\d+) to (\d+) \|")


def test_documented_versions_are_those_spoken() -> None:
    documented = {int(key): (int(low), int(high)) for _, key, low, high in ROW.findall(DOCUMENT.read_text())}
    assert documented == dict(core().state.versions)


def test_documented_names_are_kafkas() -> None:
    names = {int(key): name for name, key, _, _ in ROW.findall(DOCUMENT.read_text())}
    assert names == {int(key): REQUESTS[key].__name__.removesuffix("Request") for key in HANDLERS}


@pytest.mark.parametrize("key", [key for key, handler in HANDLERS.items() if handler.refuse is not None])
def test_every_refusal_can_be_encoded_in_every_version(key: int) -> None:
    refuse = HANDLERS[key].refuse
    assert refuse is not None
    for version in range(REQUESTS[key].min_version, REQUESTS[key].max_version + 1):
        answer = refuse(REQUESTS[key](), Request(0, None, key, version, 1, 0.0, 0), 7)
        assert isinstance(answer, RESPONSES[key])
        answer.encode_parts(version)


def test_every_handler_is_of_a_known_request() -> None:
    assert set(HANDLERS) <= set(ApiKey)

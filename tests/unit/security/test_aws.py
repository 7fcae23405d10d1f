"""Tokens for Amazon MSK."""

from __future__ import annotations

import base64
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from aioproducer._version import __version__
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._sigv4 import AwsCredentials, oauth_token
from aioproducer.security._aws import AwsMskIam, is_good_for_long
from tests.unit.sasl.canary import CANARY, assert_hidden
from tests.unit.security.async_errors import error_when_awaited

BROKER = "b-1.demo.abc123.c2.kafka.eu-west-1.amazonaws.com"


def query_of(token: str) -> dict[str, str]:
    url = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def test_a_token_is_signed_now_and_good_for_15_minutes() -> None:
    credentials = AwsCredentials("AKID", CANARY)
    token = await AwsMskIam("eu-west-1", credentials)()
    assert token.expires_at_ms is not None
    signed_at_ms = token.expires_at_ms - 900_000
    assert abs(signed_at_ms - time.time() * 1000) < 60_000
    assert token.principal == "AKID"
    agent = f"aioproducer/{__version__}"
    same, _ = oauth_token(credentials, region="eu-west-1", timestamp_ms=signed_at_ms, user_agent=agent)
    assert token.value == same
    assert query_of(token.value.reveal())["User-Agent"] == agent


async def test_it_is_good_no_longer_than_its_keys() -> None:
    expires_at_ms = int(time.time() * 1000) + 400_000
    token = await AwsMskIam("eu-west-1", AwsCredentials("AKID", "s", "t", expires_at_ms=expires_at_ms))()
    assert token.expires_at_ms == expires_at_ms


async def test_keys_are_asked_for_again_when_they_end_soon() -> None:
    lives_ms = [3_600_000, 200_000, 3_600_000]
    asked: list[int] = []

    async def source() -> AwsCredentials:
        asked.append(len(asked))
        expires_at_ms = int(time.time() * 1000) + lives_ms[asked[-1]]
        return AwsCredentials(f"AKID{asked[-1]}", "s", "t", expires_at_ms=expires_at_ms)

    provider = AwsMskIam("eu-west-1", source)
    assert [(await provider()).principal for _ in range(3)] == ["AKID0"] * 3
    del lives_ms[0]
    provider = AwsMskIam("eu-west-1", source)
    asked.clear()
    assert [(await provider()).principal for _ in range(3)] == ["AKID0", "AKID1", "AKID1"]


def test_keys_without_known_end_are_asked_for_each_time() -> None:
    assert not is_good_for_long(AwsCredentials("AKID", "s"), now_ms=0)
    assert is_good_for_long(AwsCredentials("AKID", "s", expires_at_ms=300_000), now_ms=0)
    assert not is_good_for_long(AwsCredentials("AKID", "s", expires_at_ms=299_999), now_ms=0)


async def test_without_keys_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    error = await error_when_awaited(AwsMskIam("eu-west-1")())
    assert not error.retriable
    assert "AwsChain found none" in str(error)


def test_the_region_may_be_in_the_brokers_name() -> None:
    assert repr(AwsMskIam.for_broker(BROKER)) == "AwsMskIam('eu-west-1')"
    with pytest.raises(ConfigurationError, match="no AWS region in it"):
        AwsMskIam.for_broker("broker.internal")


async def test_a_region_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs the region"):
        AwsMskIam("")
    error = await error_when_awaited(AwsMskIam("x", AwsCredentials("AKID", CANARY, CANARY))())
    assert "not the name of an AWS region" in str(error)


def test_it_shows_no_key() -> None:
    provider = AwsMskIam("eu-west-1", AwsCredentials("AKID", CANARY, CANARY))
    assert_hidden(repr(provider) + repr(vars(provider)))

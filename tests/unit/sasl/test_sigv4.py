"""Signatures for Amazon MSK: vectors, and botocore as the oracle."""

from __future__ import annotations

import base64
import importlib
import random
import string
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from aioproducer.errors import ConfigurationError
from aioproducer.sasl._sigv4 import AwsCredentials, oauth_token, region_of, sign
from tests.unit.sasl.canary import CANARY, assert_hidden, assert_object_hides, error_of

SECRET: Final = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TIMESTAMP_MS: Final = 1767323045_000  # 2026-01-02T03:04:05Z
REGIONAL: Final = "kafka.us-east-1.amazonaws.com"
BROKER: Final = "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("host", "session_token", "signature"),
    [
        (REGIONAL, None, "24ebada2ed545858377591fc84af1a1bff3c40c5e8ab0c1fc85eee156cfb42da"),
        (REGIONAL, "SESSION/TOKEN+==", "cd5c3df5741eafcb891e80d86b6c7b5b6b9682d7b450b596a99cc90a8803dfb0"),
        (BROKER, None, "75a8cfbec3352486fa535e0f7035efcfd71ac6e72c21b85ee510942764dc4c26"),
        (BROKER, "SESSION/TOKEN+==", "c945dc01989e5b7ea8878da20019ff6b623082260c86745c5a9fa8cb51c071c6"),
    ],
)
def test_signatures_are_those_of_the_vectors(host: str, session_token: str | None, signature: str) -> None:
    credentials = AwsCredentials("AKIDEXAMPLE", SECRET, session_token)
    request = sign(credentials, host=host, region="us-east-1", timestamp_ms=TIMESTAMP_MS)
    assert request.signature == signature
    assert request.expires_at_ms == 1767323945_000


def test_the_canonical_request_is_that_of_the_vector() -> None:
    request = sign(AwsCredentials("AKIDEXAMPLE", SECRET), host=REGIONAL, region="us-east-1", timestamp_ms=TIMESTAMP_MS)
    assert request.canonical_sha256 == "d4730004284c17fd259d00992d8f1874e8be0fdb45e49c2af6af168742dced60"


def test_a_token_is_the_signed_address_in_base64() -> None:
    token, expires_at_ms = oauth_token(
        AwsCredentials("AKIDEXAMPLE", SECRET),
        region="us-east-1",
        timestamp_ms=TIMESTAMP_MS + 999,
        user_agent="aws-msk-iam-sasl-signer-python/1.0.2",
    )
    assert len(token.reveal()) == 516
    assert token.reveal().startswith("aHR0cHM6Ly9rYWZrYS51cy1lYXN0LTEu")
    assert expires_at_ms == 1767323945_000
    url = urlsplit(base64.urlsafe_b64decode(token.reveal() + "==").decode())
    assert (url.scheme, url.netloc, url.path) == ("https", REGIONAL, "/")
    query = parse_qs(url.query)
    assert query["User-Agent"] == ["aws-msk-iam-sasl-signer-python/1.0.2"]
    assert query["X-Amz-Date"] == ["20260102T030405Z"]
    assert list(query)[-1] == "User-Agent"


def botocore_signature(credentials: AwsCredentials, host: str, region: str, timestamp_ms: int, patch: Any) -> str:
    """The signature that botocore makes at that time."""
    auth = importlib.import_module("botocore.auth")
    now = datetime.fromtimestamp(timestamp_ms / 1000, UTC)

    def get_current_datetime(*_: object) -> datetime:
        return now

    patch.setattr(auth, "get_current_datetime", get_current_datetime)
    keys = importlib.import_module("botocore.credentials").Credentials(
        credentials.access_key_id,
        credentials.secret_access_key.reveal(),
        None if credentials.session_token is None else credentials.session_token.reveal(),
    )
    request = importlib.import_module("botocore.awsrequest").AWSRequest(
        "GET", f"https://{host}/", params={"Action": "kafka-cluster:Connect"}
    )
    auth.SigV4QueryAuth(keys, "kafka-cluster", region, expires=900).add_auth(request)
    return parse_qs(urlsplit(str(request.url)).query)["X-Amz-Signature"][0]


def test_signatures_are_those_of_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.randrange(2**32)  # told by the assertion
    rng = random.Random(seed)

    def text(alphabet: str, shortest: int, longest: int) -> str:
        return "".join(rng.choices(alphabet, k=rng.randint(shortest, longest)))

    for _ in range(1000):
        credentials = AwsCredentials(
            text(string.ascii_uppercase + string.digits, 16, 20),
            text(string.ascii_letters + string.digits + "/+", 40, 40),
            rng.choice([None, text(string.ascii_letters + string.digits + "/+=", 1, 1200)]),
        )
        region = rng.choice(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "ap-southeast-5"])
        host = rng.choice([f"kafka.{region}.amazonaws.com", f"b-{rng.randint(1, 99)}.{text('abc123', 3, 9)}.example"])
        timestamp_ms = rng.randrange(0, 4_000_000_000_000)
        ours = sign(credentials, host=host, region=region, timestamp_ms=timestamp_ms).signature
        theirs = botocore_signature(credentials, host, region, timestamp_ms, monkeypatch)
        assert ours == theirs, f"seed {seed}"


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (BROKER, "us-east-1"),
        ("boot-abc.c3.kafka-serverless.eu-west-1.amazonaws.com", "eu-west-1"),
        ("b-1.demo.kafka.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("B-1.DEMO.KAFKA.US-EAST-1.AMAZONAWS.COM.", "us-east-1"),
        ("b-1.demo.internal", None),
        ("kafka.us-east-1.amazonaws.com.evil.example", None),
        ("", None),
    ],
)
def test_the_region_is_in_the_name_of_a_broker(host: str, region: str | None) -> None:
    assert region_of(host) == region


@pytest.mark.parametrize("region", ["", "us", "us-east-1/x", "US-EAST-1", "us east", "../a"])
def test_what_is_no_region_is_refused(region: str) -> None:
    with pytest.raises(ConfigurationError, match="not the name of an AWS region"):
        sign(AwsCredentials("A", "s"), host="h", region=region, timestamp_ms=0)


def test_what_is_secret_is_hidden() -> None:
    credentials = AwsCredentials("AKID", CANARY, CANARY)
    assert_object_hides(credentials)
    assert "AKID" in repr(credentials)
    assert_hidden(repr(sign(credentials, host="h", region="us-east-1", timestamp_ms=0)))
    error_of(lambda: AwsCredentials("", CANARY))


def test_an_empty_session_token_is_none() -> None:
    assert AwsCredentials("A", "s", "").session_token is None

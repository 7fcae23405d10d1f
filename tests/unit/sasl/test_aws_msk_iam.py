"""AWS_MSK_IAM."""

from __future__ import annotations

import json

import pytest

from aioproducer.errors import AuthenticationError, ProtocolError
from aioproducer.sasl._aws_msk_iam import AwsMskIamMechanism
from aioproducer.sasl._sigv4 import AwsCredentials
from tests.unit.sasl.canary import CANARY, error_of

BROKER = "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com"


def mechanism(secret: str = CANARY, session_token: str | None = None) -> AwsMskIamMechanism:
    credentials = AwsCredentials("AKIDEXAMPLE", secret, session_token)
    return AwsMskIamMechanism(
        credentials, host=BROKER, region="us-east-1", timestamp_ms=1767323045_000, user_agent="aioproducer/1"
    )


def test_its_message_is_that_of_the_vector() -> None:
    first = mechanism("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "SESSION/TOKEN+==").first()
    assert json.loads(first) == {
        "version": "2020_10_22",
        "host": BROKER,
        "user-agent": "aioproducer/1",
        "action": "kafka-cluster:Connect",
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": "AKIDEXAMPLE/20260102/us-east-1/kafka-cluster/aws4_request",
        "x-amz-date": "20260102T030405Z",
        "x-amz-expires": "900",
        "x-amz-security-token": "SESSION/TOKEN+==",
        "x-amz-signedheaders": "host",
        "x-amz-signature": "c945dc01989e5b7ea8878da20019ff6b623082260c86745c5a9fa8cb51c071c6",
    }


def test_without_a_session_token_none_is_sent() -> None:
    assert b"security-token" not in mechanism().first()


def test_an_answer_with_content_is_success() -> None:
    login = mechanism()
    login.first()
    login.next(b'{"version":"2020_10_22","request-id":"7f3a"}')
    assert login.request_id == "7f3a"


def test_an_empty_answer_is_a_refusal() -> None:
    login = mechanism()
    login.first()
    error = error_of(lambda: login.next(b""))
    assert isinstance(error, AuthenticationError)
    assert "access key AKIDEXAMPLE lacks kafka-cluster:Connect" in str(error)


@pytest.mark.parametrize("answer", [b"x", b"[]", b"\xff"])
def test_an_answer_that_is_no_json_object_is_malformed(answer: bytes) -> None:
    login = mechanism()
    login.first()
    assert isinstance(error_of(lambda: login.next(answer)), ProtocolError)


def test_an_answer_without_a_request_id_is_success_too() -> None:
    login = mechanism()
    login.first()
    login.next(b'{"request-id":7}')
    assert login.request_id == ""

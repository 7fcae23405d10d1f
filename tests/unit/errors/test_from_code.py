"""What a code becomes: its class, its flags and its text."""

from __future__ import annotations

import pytest

from aioproducer.errors import BrokerError, ErrorCode
from aioproducer.errors._codes import FATAL, POSSIBLY_WRITTEN, RETRIABLE
from aioproducer.errors._from_code import CLASSES, error_for


@pytest.mark.parametrize("code", ErrorCode, ids=lambda code: code.name)
def test_every_code_becomes_its_class_with_its_flags(code: ErrorCode) -> None:
    error = error_for(code)
    assert type(error) is CLASSES.get(code, BrokerError)
    assert (error.code, error.name) == (int(code), code.name)
    assert error.retriable == (code in RETRIABLE)
    assert error.possibly_written == (code in POSSIBLY_WRITTEN)
    assert not (error.fatal and (error.abortable or error.retriable))
    assert f"{code.name} ({int(code)})" in str(error)


@pytest.mark.parametrize("code", sorted(FATAL))
def test_fatal_codes_are_fatal(code: int) -> None:
    assert error_for(code).fatal


def test_cluster_authorization_is_fatal_and_topic_authorization_abortable() -> None:
    cluster, topic = error_for(31), error_for(29)
    assert type(cluster) is type(topic)
    assert (cluster.fatal, cluster.abortable) == (True, False)
    assert (topic.fatal, topic.abortable) == (False, True)


def test_an_unknown_code_keeps_its_number_and_may_be_written() -> None:
    error = error_for(4711)
    assert (type(error), error.code, error.name) == (BrokerError, 4711, "UNKNOWN_CODE_4711")
    assert error.possibly_written
    assert not error.retriable


def test_the_text_names_broker_request_topic_and_the_brokers_own_words() -> None:
    error = error_for(10, "the max is 5", api="Produce", node=3, topic="orders", partition=7)
    assert (error.api, error.node, error.topic, error.partition) == ("Produce", 3, "orders", 7)
    text = str(error)
    assert text.startswith("broker 3 answered Produce for topic 'orders' partition 7 with MESSAGE_TOO_LARGE (10): ")
    assert text.endswith("(it says: the max is 5)")


def test_what_writes_nothing_has_written_nothing() -> None:
    code = ErrorCode.REQUEST_TIMED_OUT
    assert error_for(code, api="Produce").possibly_written
    assert error_for(code).possibly_written
    assert not error_for(code, api="Metadata").possibly_written
    assert not error_for(ErrorCode.UNKNOWN_SERVER_ERROR, api="InitProducerId").possibly_written


def test_a_brokers_own_text_is_one_line_of_bounded_length() -> None:
    text = str(error_for(ErrorCode.INVALID_RECORD, "line one\nline two\x1b[31m" + "x" * 100_000))
    assert "line one line two" in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 1000


def test_what_an_answer_is_about_is_named() -> None:
    error = error_for(53, api="FindCoordinator", node=-1, subject="transactional id 'payments'")
    assert str(error).startswith(
        "a bootstrap server answered FindCoordinator for transactional id 'payments' with"
        " TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53)"
    )
    assert str(error_for(30, api="TxnOffsetCommit", node=0, topic="t", subject="group 'g'")).startswith(
        "broker 0 answered TxnOffsetCommit for group 'g' for topic 't' with"
    )

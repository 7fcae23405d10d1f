"""Files, environment, and names in there."""

from __future__ import annotations

from typing import Any

import pytest

from aioproducer._config.files import Found
from aioproducer._config.producer_config import ProducerConfig
from aioproducer._config.sources import read_environment, translate
from aioproducer.errors import ConfigurationError


def test_the_environment_is_read_under_a_prefix_only() -> None:
    variables = {"ORDERS_LINGER_MS": "5", "LINGER_MS": "9", "ORDERS_ACKS": "all", "XORDERS_ACKS": "1"}
    assert read_environment("ORDERS_", variables) == {"linger_ms": "5", "acks": "all"}


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPRODUCER_TEST_ACKS", "1")
    assert read_environment("AIOPRODUCER_TEST_") == {"acks": "1"}


def test_an_empty_prefix_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        read_environment("", {})


@pytest.mark.parametrize(
    ("name", "value", "ours", "converted"),
    [
        ("linger.ms", "5", "linger_ms", "5"),
        ("linger_ms", 5, "linger_ms", 5),
        ("partitioner.class", "x", "partitioner", "x"),
        ("queue.buffering.max.ms", "5", "linger_ms", "5"),
        ("queue.buffering.max.kbytes", "32", "buffer_memory", "32768"),
        ("queue.buffering.max.kbytes", 32, "buffer_memory", "32768"),
        ("queue.buffering.max.kbytes", "x", "buffer_memory", "x"),
        ("socket.send.buffer.bytes", "0", "send_buffer_bytes", "-1"),
        ("socket.receive.buffer.bytes", 4096, "receive_buffer_bytes", 4096),
        ("max_batch_size", 7, "batch_size", 7),
        ("metadata.broker.list", "a:1", "bootstrap_servers", "a:1"),
    ],
)
def test_names_of_other_clients_become_ours(name: str, value: object, ours: str, converted: object) -> None:
    found = translate({name: value})
    assert (found.settings, found.problems) == ({ours: converted}, [])


def test_one_level_for_all_codecs_belongs_to_the_codec_in_use() -> None:
    assert translate({"compression.type": "zstd", "compression.level": "7"}).settings == {
        "compression_type": "zstd",
        "compression_zstd_level": "7",
    }
    assert translate({"compression.codec": "lz4", "compression.level": -1}).settings == {"compression_type": "lz4"}
    without = translate({"compression.level": 5})
    assert (without.settings, without.problems) == ({}, [])
    assert without.notes == ["compression.level has no effect with compression_type=none"]


def test_one_setting_under_two_names_is_a_problem() -> None:
    assert translate({"linger.ms": 5, "queue.buffering.max.ms": 5}).problems == []
    problems = translate({"linger.ms": 5, "queue.buffering.max.ms": 6}).problems
    assert problems == ["linger_ms is given twice, as linger.ms and as queue.buffering.max.ms; keep one"]


def test_unknown_names_and_names_that_are_no_text_are_problems() -> None:
    config: Any = {"group.id": "g", 5: "x"}
    found = translate(config)
    problems = found.problems
    assert found.settings == {}
    assert len(problems) == 2
    assert problems[0].startswith("group.id is a setting of consumers")
    assert "must be a str" in problems[1]


def test_the_mapping_given_is_not_changed() -> None:
    config = {"compression.type": "zstd", "compression.level": "7"}
    translate(config)
    assert config == {"compression.type": "zstd", "compression.level": "7"}


def test_what_kubernetes_makes_of_a_service_is_left_out() -> None:
    variables = {
        "KAFKA_PORT": "tcp://10.0.0.1:9092",
        "KAFKA_SERVICE_HOST": "10.0.0.1",
        "KAFKA_SERVICE_PORT": "9092",
        "KAFKA_SERVICE_PORT_TCP_CLIENTS": "9092",
        "KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092",
        "KAFKA_PORT_9092_TCP_ADDR": "10.0.0.1",
        "KAFKA_PORT_9092_TCP_PORT": "9092",
        "KAFKA_PORT_9092_TCP_PROTO": "tcp",
        "KAFKA_LINGER_MS": "7",
    }
    assert read_environment("KAFKA_", variables) == {"linger_ms": "7"}


def test_a_variable_is_named_as_it_is_there() -> None:
    (problem,) = translate({"topic": "x"}, prefix="KAFKA_").problems
    assert problem.startswith("KAFKA_TOPIC is not a setting")


def test_in_a_file_the_settings_of_others_are_one_note() -> None:
    file = Found("a.properties", lines={"lingr.ms": 3})
    given = {"group.id": "g", "schema.registry.url": "x", "ssl.provider": "y", "lingr.ms": 1}
    found = translate(given, file=file)
    assert found.problems == ["lingr.ms (a.properties, line 3) is not a setting; did you mean linger_ms?"]
    (note,) = found.notes
    assert "group.id, schema.registry.url, ssl.provider" in note


def test_names_of_frameworks_are_told_once() -> None:
    (problem,) = translate({"spring.kafka.client-id": "x", "spring.kafka.producer.acks": "all"}).problems
    assert problem.startswith("spring.kafka: 2 names with this prefix are Spring's")


def test_none_means_not_given() -> None:
    assert translate({"acks": None, "client.id": None}).settings == {}


def test_librdkafkas_two_timeouts_for_requests() -> None:
    for given in ({"socket.timeout.ms": 1, "request.timeout.ms": 2}, {"request.timeout.ms": 2, "socket.timeout.ms": 1}):
        found = translate(given)
        assert (found.settings, found.problems) == ({"request_timeout_ms": 2}, [])


def test_librdkafkas_message_timeout_has_no_lower_bound() -> None:
    short = translate({"message.timeout.ms": "5000"})
    assert short.settings == {"delivery_timeout_ms": "5000", "request_timeout_ms": 4_995}
    assert len(short.notes) == 1
    assert translate({"message.timeout.ms": 0}).settings == {"delivery_timeout_ms": 2**31 - 1}
    assert translate({"message.timeout.ms": 60_000}).settings == {"delivery_timeout_ms": 60_000}
    both = translate({"message.timeout.ms": 5_000, "request.timeout.ms": 9_000})
    assert both.settings == {"delivery_timeout_ms": 5_000, "request_timeout_ms": 9_000}


def test_old_partitioners_of_java_are_the_built_in_one() -> None:
    for name in ("DefaultPartitioner", "UniformStickyPartitioner"):
        value = f"org.apache.kafka.clients.producer.internals.{name}"
        made = ProducerConfig.from_config({"bootstrap.servers": "a:1", "partitioner.class": value})
        assert made.partitioner is None

"""Files, environment, and names in there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioproducer._config.sources import parse_properties, read_environment, read_file, translate
from aioproducer.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("a=1", {"a": "1"}),
        ("a = 1 ", {"a": "1 "}),
        ("a: 1\r\nb\t2\rc", {"a": "1", "b": "2", "c": ""}),
        ("  # x\n!y\n\n a=1", {"a": "1"}),
        ("a=1,\\\n   2,\\\n\t3", {"a": "1,2,3"}),
        ("a=x\\\\\nb=2", {"a": "x\\", "b": "2"}),
        ("a=\\u00e9\\t\\q", {"a": "é\tq"}),
        ("a\\=b=c=d", {"a=b": "c=d"}),
        ("a\\ b c", {"a b": "c"}),
        ("a==1", {"a": "=1"}),
        ("a=1\na=2", {"a": "2"}),
        ("a=1\\", {"a": "1"}),
        ("a=\\\n# not a comment", {"a": "# not a comment"}),
        ("=v", {"": "v"}),
        ("a\\\\=1", {"a\\": "1"}),
    ],
)
def test_properties_are_read_as_java_reads_them(text: str, properties: dict[str, str]) -> None:
    assert parse_properties(text) == properties


def test_toml_takes_dotted_names_quoted_names_and_ours(tmp_path: Path) -> None:
    file = tmp_path / "producer.toml"
    file.write_text(
        'linger.ms = 5\n"acks" = "all"\nbatch_size = 1\nbootstrap.servers = ["a:1"]\n[retry]\nbackoff.ms = 7\n'
    )
    assert read_file(file) == {
        "linger.ms": 5,
        "acks": "all",
        "batch_size": 1,
        "bootstrap.servers": ["a:1"],
        "retry.backoff.ms": 7,
    }


def test_a_properties_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "producer.properties"
    file.write_text("bootstrap.servers=a:1\nclient.id=é\n", "utf-8")
    assert read_file(str(file)) == {"bootstrap.servers": "a:1", "client.id": "é"}


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in '\.yaml'"):
        read_file(tmp_path / "producer.yaml")
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(ConfigurationError, match=r"bad\.toml is not TOML"):
        read_file(tmp_path / "bad.toml")
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "absent.toml")


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
    assert translate({name: value}) == ({ours: converted}, [])


def test_one_level_for_all_codecs_belongs_to_the_codec_in_use() -> None:
    assert translate({"compression.type": "zstd", "compression.level": "7"})[0] == {
        "compression_type": "zstd",
        "compression_zstd_level": "7",
    }
    assert translate({"compression.codec": "lz4", "compression.level": -1})[0] == {"compression_type": "lz4"}
    assert translate({"compression.level": 5}) == ({}, [])


def test_one_setting_under_two_names_is_a_problem() -> None:
    _, problems = translate({"linger.ms": 5, "queue.buffering.max.ms": 5})
    assert problems == ["linger_ms is given twice, as linger.ms and as queue.buffering.max.ms; keep one"]


def test_unknown_names_and_names_that_are_no_text_are_problems() -> None:
    config: Any = {"group.id": "g", 5: "x"}
    translated, problems = translate(config)
    assert translated == {}
    assert len(problems) == 2
    assert problems[0].startswith("group.id is a setting of consumers")
    assert "must be a str" in problems[1]


def test_the_mapping_given_is_not_changed() -> None:
    config = {"compression.type": "zstd", "compression.level": "7"}
    translate(config)
    assert config == {"compression.type": "zstd", "compression.level": "7"}

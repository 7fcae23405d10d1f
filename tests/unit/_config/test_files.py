"""What stands in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioproducer._config.files import parse_properties, read_file
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
    assert read_file(file).settings == {
        "linger.ms": 5,
        "acks": "all",
        "batch_size": 1,
        "bootstrap.servers": ["a:1"],
        "retry.backoff.ms": 7,
    }


def test_a_properties_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "producer.properties"
    file.write_text("bootstrap.servers=a:1\nclient.id=é\n", "utf-8")
    assert read_file(str(file)).settings == {"bootstrap.servers": "a:1", "client.id": "é"}


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in '\.yaml'"):
        read_file(tmp_path / "producer.yaml")
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(ConfigurationError, match=r"bad\.toml is not TOML"):
        read_file(tmp_path / "bad.toml")
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "absent.toml")


def read(tmp_path: Path, name: str, content: str | bytes) -> dict[str, object]:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(tmp_path / name).settings


@pytest.mark.parametrize("name", ["librdkafka.config", "kcat.conf", "CLIENT.CONF"])
def test_librdkafkas_files_have_no_escapes(tmp_path: Path, name: str) -> None:
    text = "# brokers\n\nbootstrap.servers = a:1\nsasl.password=a\\\\b=c # d\n"
    assert read(tmp_path, name, text) == {"bootstrap.servers": "a:1", "sasl.password": "a\\\\b=c # d"}


def test_upper_case_endings_are_the_same(tmp_path: Path) -> None:
    assert read(tmp_path, "A.PROPERTIES", "a=1") == {"a": "1"}


@pytest.mark.parametrize("name", [".env", "kafka.env"])
def test_lines_of_an_env_file_are_variables(tmp_path: Path, name: str) -> None:
    text = "# x\nexport KAFKA_LINGER_MS=5\nKAFKA_SASL_PASSWORD=\"a b\"\nKAFKA_ACKS='all'\n"
    assert read(tmp_path, name, text) == {"linger_ms": "5", "sasl_password": "a b", "acks": "all"}
    assert read(tmp_path, name, "LINGER_MS=5\nKAFKA_X=1") == {"linger_ms": "5", "kafka_x": "1"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.ini", "", "configparser"),
        ("a.json", "", "json"),
        ("a.yml", "", "YAML"),
        ("a.properties", "[default]\na=1", "line 1: a section; this is an INI file"),
        ("a.config", "x=1\n{\n", "line 2: this is JSON or YAML"),
        ("a.config", "x=1\nhidden", "line 2: name=value is expected"),
        (".env", "x=1\nhidden", "line 2: NAME=value is expected"),
        ("a.properties", "x=1\npassword=hidden\\u12", "line 2: .u without four"),
        ("a.toml", "x=1\npassword='hidden", "is not TOML .at"),
    ],
)
def test_what_a_file_is_not_is_told_without_its_content(tmp_path: Path, name: str, content: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        read(tmp_path, name, content)
    assert "hidden" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert read(tmp_path, "a.properties", "\ufeffacks=1") == {"acks": "1"}


def test_a_file_that_is_not_utf_8_is_read_as_java_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.properties").write_bytes(b"acks=1\nsasl.password=p\xe4ss")
    found = read_file(tmp_path / "a.properties")
    assert found.settings["sasl.password"] == "päss"
    assert found.notes == ["a.properties is not UTF-8 (line 2), and read as ISO 8859-1, as Java does"]


def test_a_name_that_is_there_twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.properties").write_text("acks=1\n\nacks=0")
    found = read_file(tmp_path / "a.properties")
    assert found.settings == {"acks": "0"}
    assert found.notes == ["a.properties has acks twice, in lines 1 and 3; the last one counts"]

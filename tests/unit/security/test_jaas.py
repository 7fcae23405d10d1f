"""The grammar of sasl.jaas.config, as Apache Kafka's parser has it (JaasContextTest, and what was tried with it)."""

from __future__ import annotations

import random

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._jaas import parse_jaas
from tests.unit.sasl.canary import CANARY, assert_object_hides, error_of

MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"


def options_of(text: str) -> dict[str, str]:
    return {name: value.reveal() for name, value in parse_jaas(f"{MODULE} required {text};").options.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("p=word", "word"),
        ("p=true", "true"),
        ("p = word", "word"),
        ("p\n=\n'word'\n", "word"),
        ("p=p-_$.x9", "p-_$.x9"),
        ("p=_a", "_a"),
        ("p=$a", "$a"),
        ("p=\u00e9\u4e2d", "\u00e9\u4e2d"),
        ('p=""', ""),
        ("p=''", ""),
        ('p="a b"', "a b"),
        ("p='a\"b'", 'a"b'),
        ('p="a\'b"', "a'b"),
        (r'p="a\"b"', 'a"b'),
        (r'p="a\\b"', "a\\b"),
        (r'p="\n\t\r\b\f\a\v"', "\n\t\r\b\f\a\v"),
        (r'p="\101\60\0"', "A0\0"),
        (r'p="\377\400\1011"', "\u00ff 0A1"),
        (r'p="\u0041\x"', "u0041x"),
        ('p="a\\\nb"', "a\nb"),
        ('p="a//b/*c*/#d;e"', "a//b/*c*/#d;e"),
        ('p="a=b"', "a=b"),
        ("/* ; */ p=word // a comment ;\n", "word"),
        ("p=word / a comment\n", "word"),
        ("p=a/b\n", "a"),
        ("p=a/\n a comment, too\n", "a"),
        ('"p"=word', "word"),
        ("p=first p=second", "second"),
    ],
)
def test_a_value_is_read_as_java_reads_it(text: str, value: str) -> None:
    assert options_of(text) == {"p": value}


def test_the_whole_is_read() -> None:
    entry = parse_jaas(Secret(f"\n{MODULE} REQUIRED\n  username=\"alice\"\n  password='x';\n"))
    assert entry.login_module == MODULE
    assert list(entry.options) == ["username", "password"]


@pytest.mark.parametrize("flag", ["required", "Requisite", "SUFFICIENT", "optional", "'required'"])
def test_any_flag_will_do(flag: str) -> None:
    assert parse_jaas(f"a.B {flag};").options == {}


BAD = {
    "": "at the end: the class of a login module is missing",
    "  // nothing": "at the end: the class",
    "/* never closed": "at the end: the class",
    ";": "at character 1: the class",
    "'' required;": "at character 1: the class of a login module is empty",
    "a.B": "at the end: required, requisite, sufficient or optional is missing",
    "a.B ;": "at character 5: required",
    "a.B needed;": "at character 5: required",
    "KafkaClient { a.B required; };": "the form of a JAAS file",
    "a.B required": "at the end: an option or the semicolon at the end is missing",
    "a.B required p": "at the end: an = after the name",
    "a.B required p;": "at character 15: an = after the name",
    "a.B required p=": "at the end: the value of an option is missing",
    "a.B required p=;": 'quote the value: name="value"',
    "a.B required p=123;": 'at character 16: the value of an option is missing; quote the value: name="value"',
    "a.B required p=1a;": "quote the value",
    "a.B required p=-a;": "quote the value",
    "a.B required p=\u0085;": "quote the value",
    f"a.B required p={CANARY}@b;": "quote the value",
    f"a.B required p={CANARY}+b;": "quote the value",
    f"a.B required p={CANARY}/b;": "at the end",
    f"a.B required p={CANARY}, q=b;": "quote the value",
    f"a.B required p=a {CANARY} q=b;": "an = after the name",
    f"a.B required p=a {CANARY}=;": "the value of an option is missing",
    f'a.B required p="{CANARY}': 'at character 16: no closing " in the same line',
    f'a.B required p="{CANARY}\n";': "no closing",
    f'a.B required p="{CANARY}\\': "no closing",
    f'a.B required p="{CANARY}\\\n': "no closing",
    f"a.B required p='{CANARY}\";": "no closing '",
    f"a.B required p={CANARY}; a.C required;": "at character 34: there is more after the semicolon",
    f"a.B required p={CANARY};;": "there is more after the semicolon",
    f"{CANARY} {CANARY};": "required",
}


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_is_wrong_is_told_by_its_place_and_not_shown(number: int) -> None:
    error = error_of(lambda: parse_jaas(list(BAD)[number]))
    assert isinstance(error, ConfigurationError)
    assert list(BAD.values())[number] in str(error)
    assert str(error).startswith("sasl.jaas.config, at ")


def test_what_was_read_hides_its_values() -> None:
    assert_object_hides(parse_jaas(f'a.B required password="{CANARY}";'))


def test_texts_made_at_random_raise_nothing_else() -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    pieces = ["a.B", " ", "required", "=", ";", '"', "'", "\\", "/", "*", "\n", "p", "7", "\u00e9", "{", "//", "\\1"]
    for _ in range(3000):
        text = "".join(rng.choices(pieces, k=rng.randint(0, 12)))
        try:
            parse_jaas(f"a.B required {text}")
        except ConfigurationError:
            pass
        except Exception as error:
            raise AssertionError(f"seed {seed}: {text!r}") from error

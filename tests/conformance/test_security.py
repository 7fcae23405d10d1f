"""Do Kafka's own classes understand our logins, and read sasl.jaas.config as we do?

One Java process has the broker's side of SCRAM and OAUTHBEARER and the parser of JAAS (on kafka-clients' classes, in
java_security/SecurityOracle.java).
"""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import pytest

from aioproducer.errors import AuthenticationError, ConfigurationError
from aioproducer.sasl import OAuthBearer, Scram, ScramKeyCache, ScramName
from aioproducer.security import UnsecuredToken
from aioproducer.security._jaas import parse_jaas
from tests.conformance.oracle import Process, started

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

SOURCE: Final = Path(__file__).parent / "java_security" / "SecurityOracle.java"
NAMES: Final[tuple[ScramName, ...]] = ("SCRAM-SHA-256", "SCRAM-SHA-512")


class RefusedError(Exception):
    """Kafka's class threw."""


class Oracle:
    """The Java process; answers one question after the other."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def ask(self, question: str, *words: str | bytes) -> list[bytes | str]:
        """Return the words of the answer; what is hexadecimal as bytes."""
        line = " ".join([question, *(word if isinstance(word, str) else word.hex() or "-" for word in words)])
        is_answered, answer = self._process.ask(line)
        if not is_answered:
            raise RefusedError(answer)
        return [word if word in ("complete", "going") else _bytes(word) for word in answer.split()]

    def texts(self, question: str, content: bytes) -> list[str]:
        """Return the words of an answer that are texts."""
        return [cast("bytes", word).decode() for word in self.ask(question, content)]


def _bytes(word: str) -> bytes:
    return b"" if word == "-" else bytes.fromhex(word)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """The Java process, compiled and started once."""
    with started(SOURCE, tmp_path_factory.mktemp("oracle")) as process:
        yield Oracle(process)


def log_in(oracle: Oracle, mechanism: Scram) -> list[bytes | str]:
    """Carry an exchange to its end, and return the broker's last answer."""
    token: bytes | None = mechanism.first()
    answer: list[bytes | str] = []
    while token is not None:
        answer = oracle.ask("step", token)
        step = mechanism.next(cast("bytes", answer[0]))
        token = step() if callable(step) else step
    return answer


def nonce_of(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_letters + string.digits + "+/=-_!#", k=rng.randint(16, 40)))


@pytest.mark.parametrize("name", NAMES)
def test_a_broker_lets_us_in(name: ScramName, oracle: Oracle) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(40):
        user = "".join(rng.choices(string.ascii_letters + "=,=2C \t~@", k=rng.randint(1, 20)))
        password = "".join(rng.choices(string.printable + "é\u00aa\u00ad\u212b中😀", k=rng.randint(1, 40)))
        iterations = rng.choice([4096, 8192, 16384])
        cache = ScramKeyCache()
        oracle.ask("scram", name, user.encode(), password.encode(), str(iterations))
        answer = log_in(oracle, Scram(name, user, password, nonce=nonce_of(rng), cache=cache))
        assert answer[1:] == ["complete", user.encode()], f"seed {seed}"


@pytest.mark.parametrize("name", NAMES)
def test_a_delegation_token_is_taken_for_its_owner(name: ScramName, oracle: Oracle) -> None:
    oracle.ask("scram", name, b"token-id", b"aG1hYw==", "4096")
    mechanism = Scram(name, "token-id", "aG1hYw==", nonce=nonce_of(random.Random(1)), is_delegation_token=True)
    assert log_in(oracle, mechanism)[1:] == ["complete", b"owner"]


@pytest.mark.parametrize(("user", "password"), [("alice", "wrong"), ("bob", "right"), ("zoë", "right")])
def test_a_broker_refuses_wrong_credentials(user: str, password: str, oracle: Oracle) -> None:
    oracle.ask("scram", NAMES[0], b"alice", b"right", "4096")
    with pytest.raises(RefusedError):
        log_in(oracle, Scram(NAMES[0], user, password, nonce=nonce_of(random.Random(1))))


@pytest.mark.parametrize(
    "extensions", [{}, {"logicalCluster": "lkc-1", "identityPoolId": "pool-1"}, {"a": "x y=\t\r\n~"}]
)
def test_a_broker_reads_our_token_and_extensions(extensions: dict[str, str], oracle: Oracle) -> None:
    token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.-_~+/=="
    token_read, *pairs = oracle.texts("oauth", OAuthBearer(token, extensions=extensions).first())
    assert token_read == token
    assert dict(zip(pairs[::2], pairs[1::2], strict=True)) == extensions


def test_what_we_refuse_to_send_a_broker_would_not_read(oracle: Oracle) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(300):
        token = "".join(rng.choices("abcZ09-_~+/.= ,\té", weights=[9] * 12 + [1] * 5, k=rng.randint(1, 12)))
        name = "".join(rng.choices("abZ-1", weights=[9, 9, 9, 1, 1], k=rng.randint(1, 4)))
        value = "".join(rng.choices("ab =~\t\x02é", weights=[9] * 6 + [1] * 2, k=rng.randint(1, 6)))
        message = f"n,,\x01auth=Bearer {token}\x01{name}={value}\x01\x01".encode()
        try:
            ours: bytes | None = OAuthBearer(token.encode(), extensions={name: value}).first()
        except (AuthenticationError, ConfigurationError):
            ours = None
        try:
            oracle.ask("oauth", message)
            theirs: bytes | None = message
        except RefusedError:
            theirs = None
        assert ours in (theirs, None), f"seed {seed}: {message!r}"


async def test_a_broker_reads_a_token_that_nobody_signed(oracle: Oracle) -> None:
    token = await UnsecuredToken("alice", claims={"scope": "a b"})()
    assert oracle.texts("unsecured", token.value.reveal_bytes()) == ["alice", str(token.expires_at_ms)]


PIECES: Final = (
    *("a.B ", "required ", "optional\n", "p=", "q = ", "x", "true", "_$", "é", "中", "\u0085", "7", "-1", ".5"),
    *('"', "'", "\\", "\\n", "\\101", "\\9", " ", "\n", "\r", "/", "//", "/*", "*/", "{", "}", ",", "@", ";", "="),
)
UNCLOSED: Final = "refused: a quote without another one in its line"
"""Java takes such a text to end with the line, and what was meant to be in it for what follows."""


def we_read(text: str) -> list[str] | str:
    """What is in a JAAS configuration, or that it is refused."""
    try:
        entry = parse_jaas(text)
    except ConfigurationError as error:
        return UNCLOSED if "no closing" in str(error) else "refused"
    pairs = sorted((name, value.reveal()) for name, value in entry.options.items())
    return [entry.login_module, *(word for pair in pairs for word in pair)]


def kafka_reads(text: str, oracle: Oracle) -> list[str] | str:
    """What is in a JAAS configuration, or that it is refused."""
    try:
        return oracle.texts("jaas", text.encode())
    except RefusedError:
        return "refused"


def test_jaas_is_read_as_kafka_reads_it(oracle: Oracle) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    read = 0
    for _ in range(6000):
        inner = "".join(rng.choices(PIECES, k=rng.randint(0, 8)))
        text = rng.choice([f"a.B required {inner};", f"a.B required p={inner};", f'a.B required p="{inner}";', inner])
        ours = we_read(text)
        assert ours in (kafka_reads(text, oracle), UNCLOSED), f"seed {seed}: {text!r}"
        read += isinstance(ours, list)
    assert read > 500

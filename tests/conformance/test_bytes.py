"""Do Kafka's own classes understand our bytes, and write the same?

One Java process decodes what we encode with the message classes of the kafka-clients jar, tells the values it saw, by
name, and encodes them again. When its bytes are ours, we decode what it writes, too: ours are tested to come back
unchanged.
"""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from aioproducer._wire.fields import Field, Kind
from aioproducer._wire.frames import encode_request, encode_response
from aioproducer._wire.messages import REQUESTS, RESPONSES, ApiKey
from tests.conformance.oracle import Process, started
from tests.unit._wire.samples import CASES, Case, case_id, random_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aioproducer._wire.schema import Message, Struct

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

SEED: Final = 20_260_602
MESSAGES_PER_CASE: Final = 12
SOURCE: Final = Path(__file__).parent / "java" / "Oracle.java"


class Oracle:
    """The Java process; answers one message after the other."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def ask(self, name: str, version: int, body: bytes) -> tuple[bytes, Any]:
        """Return (bytes, JSON) of what Kafka's class decoded."""
        data, _, seen = self._answer(f"{name} {version} {body.hex() or '-'}").partition(" ")
        return b"" if data == "-" else bytes.fromhex(data), json.loads(seen)

    def header_versions(self, api_key: int, version: int) -> tuple[int, int]:
        """Return (version of the request's header, of the response's)."""
        request, response = self._answer(f"headers {version} {int(api_key)}").split()
        return int(request), int(response)

    def _answer(self, question: str) -> str:
        is_answered, answer = self._process.ask(question)
        assert is_answered, f"{question[:60]}: {answer}"
        return answer


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """The Java process, compiled and started once."""
    with started(SOURCE, tmp_path_factory.mktemp("oracle")) as process:
        yield Oracle(process)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_kafka_reads_our_bytes_and_writes_the_same(case: Case, oracle: Oracle) -> None:
    cls, version = case
    rng = random.Random(f"{SEED}-{case_id(case)}")
    messages: list[Message] = [cls(), *(random_message(cls, version, rng) for _ in range(MESSAGES_PER_CASE))]
    for message in messages:
        body = message.encode(version)
        written, seen = oracle.ask(cls.__name__, version, body)
        assert written == body
        assert seen == _json(message, version)
        assert cls.decode(written, version) == message


@pytest.mark.parametrize("api_key", ApiKey)
def test_frames_have_the_headers_that_kafka_expects(api_key: ApiKey, oracle: Oracle) -> None:
    request, response = REQUESTS[api_key], RESPONSES[api_key]
    for version in range(request.min_version, request.max_version + 1):
        request_header, response_header = oracle.header_versions(api_key, version)
        for client_id in (None, "", "my-client", "grün"):
            frame = encode_request(request(), version, 77, client_id)
            header = frame[4 : len(frame) - len(request().encode(version))]
            assert oracle.ask("RequestHeader", request_header, header)[1] == {
                "requestApiKey": api_key,
                "requestApiVersion": version,
                "correlationId": 77,
                "clientId": client_id,
            }
        frame = encode_response(response(), version, 78)
        header = frame[4 : len(frame) - len(response().encode(version))]
        assert oracle.ask("ResponseHeader", response_header, header)[1] == {"correlationId": 78}


def test_the_oracle_tells_what_is_wrong(oracle: Oracle) -> None:
    with pytest.raises(AssertionError, match="MetadataRequest 4 00: "):
        oracle.ask("MetadataRequest", 4, b"\x00")
    with pytest.raises(AssertionError, match="1 bytes are left over"):
        oracle.ask("MetadataRequest", 0, b"\x00\x00\x00\x00!")


# ── our messages as Kafka writes them in JSON ────────────────────────────────────────────────────────────────────────


def _json(struct: Struct, version: int) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, field in struct.FIELDS.items():
        value = getattr(struct, name)
        if field.is_in(version) and not (field.tag is not None and _is_default(field, value)):
            seen.update(_entry(name, field, value, version))
    return seen


def _is_default(field: Field, value: Any) -> bool:
    if field.struct is not None:
        return bool(value == field.struct())
    return bool(value == ([] if field.default == () else field.default))


def _entry(name: str, field: Field, value: Any, version: int) -> dict[str, Any]:
    key = _camel_case(name)
    if field.kind is Kind.RECORDS and value is not None:
        return {f"{key}SizeInBytes": len(value)}  # Kafka's JSON has no more of them
    return {key: _json_value(field, value, version)}


def _json_value(field: Field, value: Any, version: int) -> Any:
    if value is None:
        return None
    match field.kind:
        case Kind.STRUCT:
            return _json(value, version)
        case Kind.ARRAY:
            element = cast("Field", field.element)
            return [_json_value(element, item, version) for item in value]
        case Kind.UUID:
            return base64.urlsafe_b64encode(value.bytes).decode().rstrip("=")
        case Kind.BYTES:
            return base64.b64encode(value).decode()
        case _:
            return value


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word[0].upper() + word[1:] for word in others)

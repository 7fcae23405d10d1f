"""Which kind of function a message class gets."""

from __future__ import annotations

from aioproducer._wire.codegen import has_records
from aioproducer._wire.messages.fetch import FetchRequest, FetchResponse
from aioproducer._wire.messages.produce import ProduceRequest, ProduceResponse


def test_records_are_found_in_nested_structs() -> None:
    assert [cls for cls in (ProduceRequest, ProduceResponse, FetchRequest, FetchResponse) if has_records(cls)] == [
        ProduceRequest,
        FetchResponse,
    ]

"""What an interceptor inherits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aioproducer._types import Headers, ProducerRecord, RecordMetadata
from aioproducer.interceptors import ProducerInterceptor


class Tracing(ProducerInterceptor[Any, Any]):
    def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
        return replace(record, headers=[("trace", b"1")])


class Nothing(ProducerInterceptor[Any, Any]):
    pass


class Unrelated:
    """Has the three methods without a base class."""

    def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
        return record

    def on_acknowledgement(self, metadata: RecordMetadata, error: BaseException | None, headers: Headers) -> None:
        pass

    def close(self) -> None:
        pass


def test_an_interceptor_that_overrides_nothing_changes_nothing() -> None:
    record = ProducerRecord("t", b"v")
    interceptor = Nothing()
    assert interceptor.on_send(record) is record
    interceptor.on_acknowledgement(RecordMetadata("t", 0, -1, -1), ValueError(), ())
    interceptor.close()


def test_an_interceptor_may_return_another_record() -> None:
    record = ProducerRecord("t", b"v")
    assert Tracing().on_send(record) == ProducerRecord("t", b"v", headers=[("trace", b"1")])
    assert record.headers is None


def test_a_base_class_is_not_needed() -> None:
    interceptors: list[ProducerInterceptor[Any, Any]] = [Nothing(), Unrelated()]
    record = ProducerRecord("t", b"v")
    assert [interceptor.on_send(record) for interceptor in interceptors] == [record, record]

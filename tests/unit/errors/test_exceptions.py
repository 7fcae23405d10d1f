"""The tree of errors: every class, its attributes, and that copies keep them."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any, cast

import pytest

from aioproducer import errors
from aioproducer.errors import (
    BootstrapError,
    BrokerError,
    ConfigurationError,
    DeliveryTimeoutError,
    InvalidRecordError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    RecordTooLargeError,
    SendAllError,
    SerializationError,
    UndeliveredError,
)
from aioproducer.errors._from_code import error_for

ALL_CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, KafkaError)]


def filled() -> list[KafkaError]:
    """An error of each class that has attributes of its own, none at its default."""
    too_large = RecordTooLargeError("m", topic="t", partition=2)
    too_large.size, too_large.limit = 10, 5
    invalid = InvalidRecordError("m", code=87, node=1)
    invalid.record_errors = ((3, "bad"),)
    return [
        KafkaError("m", code=7, retriable=True, fatal=True, abortable=True, possibly_written=True),
        BrokerError("m", code=3, api="Produce", node=4, topic="t", partition=5, possibly_written=True),
        too_large,
        invalid,
        KafkaConnectionError("m", node=1, address=("h", 9092), possibly_written=True),
        BootstrapError("m", failures={("h", 1): "refused"}),
        KafkaTimeoutError("m", elapsed=1.5, topic="t", partition=3, possibly_written=True),
        DeliveryTimeoutError("m", elapsed=2.0, topic="t", partition=0, attempts=3, node=2, possibly_written=True),
        ConfigurationError(["one", "two"]),
        SerializationError("m", topic="t", part="key"),
        UndeliveredError("m", counts={"t": 2}, first=error_for(3)),
        SendAllError("m", results=[None], failures={0: error_for(7)}),
    ]


def same(left: object, right: object) -> bool:
    if isinstance(left, BaseException):
        return type(left) is type(right) and left.args == getattr(right, "args", None) and same(vars(left), vars(right))
    if isinstance(left, dict):
        mine, other = cast("dict[str, object]", left), cast("dict[str, object]", right)
        return mine.keys() == other.keys() and all(same(mine[name], other[name]) for name in mine)
    return left == right


@pytest.mark.parametrize("error_class", ALL_CLASSES)
def test_every_class_stands_in_the_drawing_once(error_class: type[KafkaError]) -> None:
    assert errors.__doc__ is not None
    names = [word for line in errors.__doc__.splitlines() for word in line.strip(" │├└─").split()[:1]]
    assert names.count(error_class.__name__) == 1


@pytest.mark.parametrize("error_class", ALL_CLASSES)
def test_tracebacks_name_the_module_that_programs_import_from(error_class: type[KafkaError]) -> None:
    assert error_class.__module__ == "aioproducer.errors"


@pytest.mark.parametrize("error_class", ALL_CLASSES)
def test_every_class_can_be_made_of_a_message_alone(error_class: type[KafkaError]) -> None:
    error = error_class("what failed")
    assert str(error) == "what failed"
    assert same(pickle.loads(pickle.dumps(error)), error)


@pytest.mark.parametrize("error", filled(), ids=lambda error: type(error).__name__)
def test_pickle_keeps_every_attribute(error: KafkaError) -> None:
    assert same(pickle.loads(pickle.dumps(error)), error)


@pytest.mark.parametrize("error", filled(), ids=lambda error: type(error).__name__)
def test_copy_keeps_every_attribute(error: KafkaError) -> None:
    assert same(copy.copy(error), error)
    assert same(copy.deepcopy(error), error)


@pytest.mark.parametrize("cause", [error_for(3), ConnectionResetError(104, "reset")], ids=["ours", "the system's"])
def test_pickle_keeps_the_cause(cause: Exception) -> None:
    error = DeliveryTimeoutError("m")
    error.__cause__ = cause
    again = pickle.loads(pickle.dumps(error))
    assert type(again.__cause__) is type(cause)
    assert again.__cause__.args == cause.args


def test_pickle_leaves_out_a_cause_of_somebody_else() -> None:
    class Unpicklable(Exception):
        pass

    error = SerializationError("m", part="value")
    error.__cause__ = Unpicklable()
    assert pickle.loads(pickle.dumps(error)).__cause__ is None


def test_a_copy_is_a_timeout_with_its_message() -> None:
    again = copy.copy(DeliveryTimeoutError("late"))
    assert isinstance(again, TimeoutError)
    assert str(again) == "late"


def test_an_argument_that_does_not_exist_is_refused() -> None:
    arguments: Any = {"retryable": True}
    with pytest.raises(TypeError, match="BrokerError has no argument retryable"):
        BrokerError("m", **arguments)


def test_configuration_error_is_a_value_error_with_all_problems() -> None:
    error = ConfigurationError(["a is wrong", "b is wrong"])
    assert isinstance(error, ValueError)
    assert error.problems == ("a is wrong", "b is wrong")
    assert str(error) == "a is wrong; b is wrong"
    assert ConfigurationError("alone").problems == ("alone",)


def test_send_all_may_be_written_if_one_failure_may_be() -> None:
    assert SendAllError("m", failures={0: error_for(3), 1: error_for(7)}).possibly_written
    assert not SendAllError("m", failures={0: error_for(3), 1: ValueError()}).possibly_written


def test_undelivered_has_the_first_failure_as_its_cause() -> None:
    first = error_for(29)
    error = UndeliveredError("m", counts={"t": 1}, first=first)
    assert error.first is first
    assert error.__cause__ is first

"""The public names, and what importing them costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import aioproducer
from aioproducer import errors
from aioproducer.errors import KafkaError

HEAVY = ("asyncio", "trio", "uvloop", "anyio", "ssl", "socket", "crc32c", "zstandard", "lz4", "cramjam", "argparse")


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import aioproducer", "from aioproducer import ProducerConfig, ProducerRecord, KafkaError, TopicView"]
)
def test_values_and_settings_load_no_loop_and_no_codec(statement: str) -> None:
    assert not loaded_by(statement).intersection(HEAVY)


# What most producers have no use for; some of it takes as long to import as the rest of the module that needs it.
SELDOM_USED = (
    "asyncio",
    "json",
    "logging",
    "tomllib",
    "aioproducer._config.names",
    "aioproducer._config.sources",
    "aioproducer._metrics.counters",
    "aioproducer._producer.statistics",
    "aioproducer._producer.status",
)


def test_a_producer_made_from_arguments_loads_nothing_that_few_need() -> None:
    statement = "from aioproducer import Producer; Producer(bootstrap_servers='localhost:9092', linger_ms=20)"
    assert not loaded_by(statement).intersection(SELDOM_USED)


@pytest.mark.parametrize("name", sorted({*aioproducer.__all__} - {"Producer", "ProducerProtocol", "Delivery"}))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(aioproducer, name) is not None
    assert name in dir(aioproducer)


def test_every_error_is_public() -> None:
    classes = {n for n, v in vars(errors).items() if inspect.isclass(v) and issubclass(v, KafkaError)}
    assert classes <= {*aioproducer.__all__}


def test_names_are_the_same_objects_as_in_their_modules() -> None:
    assert aioproducer.KafkaError is KafkaError


def test_other_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Consumer'"):
        _ = aioproducer.Consumer  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]

"""The pytest plugin in runs of its own: under anyio's, under pytest-asyncio, both, neither, in several processes."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations
from typing import TYPE_CHECKING, Final

import pytest

from aioproducer.testing import EmbeddedCluster

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SECONDS: Final = 50

BLOCKING: Final = """
import confluent_kafka

def send(servers, topic, value):
    producer = confluent_kafka.Producer({"bootstrap.servers": ",".join(servers), "linger.ms": 0, "log_level": 0})
    producer.produce(topic, value)
    assert producer.flush(10) == 0

def test_any_client(kafka):
    send(kafka.bootstrap_servers, kafka.topic, b"v")
    (record,) = kafka.expect_blocking(kafka.topic, values=[b"v"])
    assert kafka.records(kafka.topic) == [record]

def test_topics_have_the_partitions_asked_for(kafka):
    assert "test_topics" in (topic := kafka.create_topic(partitions=3, config={"max.message.bytes": "1000"}))
    assert kafka.topic != topic
"""
FRESH: Final = """
import pytest

@pytest.mark.parametrize("time", [1, 2])
def test_topics_of_one_test_are_not_there_in_the_next(kafka, time):
    assert kafka.create_topic("orders") == "orders"
    assert kafka.records("orders") == []

def test_clusters_of_several_brokers(kafka_cluster):
    one, other = kafka_cluster(brokers=3), kafka_cluster(brokers=2, partitions=4)
    assert (len(one.bootstrap_servers), len(other.bootstrap_servers)) == (3, 2)
"""
ASYNC: Final = """
import pytest
from aioproducer import Producer
from aioproducer.errors import ErrorCode

{mark}
async def test_a_producer_that_is_connected(kafka, kafka_producer):
    metadata = await kafka_producer.send(kafka.topic, b"v")
    assert metadata.offset == 0
    (record,) = await kafka.expect(kafka.topic, count=1)
    assert record.value == b"v"
    with pytest.raises(AssertionError, match="has 1 records after 0.01 s, expected 2"):
        await kafka.expect(kafka.topic, count=2, timeout=0.01)

{mark}
async def test_faults(kafka, kafka_producer):
    with kafka.cluster.fail_next(ErrorCode.NOT_ENOUGH_REPLICAS, times=2) as fault:
        await kafka_producer.send("orders", b"v")
        await fault.wait_hit(2)

class TestInAClass:
    {mark}
    async def test_a_method(self, kafka_producer, kafka):
        await kafka_producer.send("orders", b"v")
        assert len(await kafka.expect("orders", 1)) == 1

{mark}
async def test_a_producer_of_one_s_own(kafka):
    async with kafka.producer(linger_ms=1) as producer, producer_of(kafka) as other:
        await producer.send(kafka.topic, b"v")
        await other.send(kafka.topic, b"w")
        await kafka.expect(kafka.topic, values=[b"w", b"v"])

def producer_of(kafka):
    return Producer(bootstrap_servers=kafka.bootstrap_servers)
"""
FOR_ANYIO: Final = ASYNC.format(mark="@pytest.mark.anyio")
FOR_ASYNCIO: Final = ASYNC.format(mark="@pytest.mark.asyncio")
ON_TRIO: Final = """
@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param
"""


def run(folder: Path, *arguments: str, **files: str) -> tuple[int, str]:
    """A run of pytest in another process: its exit status and what it says."""
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    settings = "[pytest]\nfilterwarnings = error\nstrict_markers = true\n"
    if "no:asyncio" not in arguments:
        settings += "asyncio_default_fixture_loop_scope = function\n"
    (folder / "pytest.ini").write_text(settings)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "chosen",
    [(), ("--kafka=embedded",), ("--aioproducer-kafka=embedded",), ("--kafka", "embedded")],
    ids=["by default", "in short", "in full", "in two words"],
)
def test_without_an_event_loop(tmp_path: Path, chosen: tuple[str, ...]) -> None:
    status, told = run(tmp_path, "-p", "no:asyncio", "-p", "no:anyio", *chosen, blocking=BLOCKING, fresh=FRESH)
    assert status == 0, told
    assert "5 passed" in told


def test_under_the_plugin_of_anyio_on_both_loops(tmp_path: Path) -> None:
    status, told = run(tmp_path, "-p", "no:asyncio", loops=FOR_ANYIO + ON_TRIO)
    assert status == 0, told
    assert "8 passed" in told


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_under_pytest_asyncio(tmp_path: Path, mode: str) -> None:
    status, told = run(tmp_path, "-p", "no:anyio", f"--asyncio-mode={mode}", loops=FOR_ASYNCIO)
    assert status == 0, told
    assert "4 passed" in told


@pytest.mark.parametrize("order", list(permutations(("anyio", "asyncio", "ours"))), ids="-".join)
def test_beside_both_in_any_order_and_in_several_processes(
    tmp_path: Path, order: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = {
        "anyio": "anyio.pytest_plugin",
        "asyncio": "pytest_asyncio.plugin",
        "ours": "aioproducer.testing.pytest_plugin",
    }
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    arguments = [each for name in order for each in ("-p", plugins[name])]
    files = {"anyio": FOR_ANYIO + ON_TRIO, "asyncio": FOR_ASYNCIO, "blocking": BLOCKING, "fresh": FRESH}
    status, told = run(tmp_path, *arguments, "-p", "xdist.plugin", "-n", "2", **files)
    assert status == 0, told
    assert "17 passed" in told


def test_the_producer_is_for_async_tests(tmp_path: Path) -> None:
    status, told = run(tmp_path, text="def test_it(kafka_producer):\n    pass\n")
    assert status == 1
    assert "kafka_producer is for async tests" in told


NEEDS_REAL: Final = "import pytest\n\n@pytest.mark.kafka_real\ndef test_it(kafka):\n    assert kafka.topic\n"
NEEDS_FAULTS: Final = "def test_it(kafka):\n    kafka.cluster.full_disk()\n"


def test_what_needs_a_real_kafka_is_skipped_without(tmp_path: Path) -> None:
    status, told = run(tmp_path, "-rs", text=NEEDS_REAL)
    assert status == 0
    assert "1 skipped" in told
    assert "--aioproducer-kafka=real" in told


def test_a_kafka_that_runs_already_is_used_and_left_clean(tmp_path: Path) -> None:
    with EmbeddedCluster.running() as cluster:
        servers = cluster.bootstrap_servers[0]
        files = {"real": NEEDS_REAL, "faults": NEEDS_FAULTS, "blocking": BLOCKING}
        status, told = run(tmp_path, f"--kafka={servers}", **files)
        assert status == 0, told
        assert "3 passed, 1 skipped" in told
        assert list(cluster.core.state.topics) == []


OWN_OPTION: Final = """
def pytest_addoption(parser):
    parser.addoption("--kafka", action="store", choices=["yes", "no"], default="no")

def pytest_configure(config):
    config.addinivalue_line("markers", "kafka_real: the project's own")
"""
OWN_MARKER: Final = """
import pytest

@pytest.mark.kafka_real
def test_it(kafka, pytestconfig):
    assert pytestconfig.getoption("--kafka") == "yes"
    assert kafka.topic

@pytest.mark.aioproducer_kafka_real
def test_that_needs_a_real_one(kafka):
    raise AssertionError
"""


def test_a_project_may_have_an_option_and_a_marker_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(OWN_OPTION)
    status, told = run(tmp_path, "--kafka=yes", "--aioproducer-kafka=embedded", "-rs", text=OWN_MARKER)
    assert status == 0, told
    assert "1 passed, 1 skipped" in told
    assert "--aioproducer-kafka=real" in told


def test_a_project_may_have_them_in_its_settings_and_its_plugin(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--kafka', action='store_true')\n"
    )
    text = "def test_it(kafka, pytestconfig):\n    assert pytestconfig.getoption('--kafka') is True\n"
    status, told = run(tmp_path, "-p", "theirs", "--kafka", text=text)
    assert status == 0, told


SECURED: Final = """
import confluent_kafka, pytest

def test_over_tls(kafka_tls):
    settings = kafka_tls.client_settings
    assert settings["security_protocol"] == "SSL"
    send(kafka_tls, {"security.protocol": "SSL", "ssl.ca.location": settings["ssl_truststore_location"]})

def test_with_sasl(kafka_sasl):
    settings = kafka_sasl.client_settings
    login = {"sasl.username": settings["sasl_username"], "sasl.password": settings["sasl_password"]}
    send(kafka_sasl, {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": settings["sasl_mechanism"]} | login)

def send(kafka, settings):
    servers = {"bootstrap.servers": ",".join(kafka.bootstrap_servers), "linger.ms": 0, "log_level": 0}
    producer = confluent_kafka.Producer(servers | settings)
    producer.produce(kafka.topic, b"v")
    assert producer.flush(10) == 0
    kafka.expect_blocking(kafka.topic, values=[b"v"])
"""


def test_clusters_with_security(tmp_path: Path) -> None:
    status, told = run(tmp_path, "-p", "no:asyncio", "-p", "no:anyio", text=SECURED)
    assert status == 0, told
    status, told = run(tmp_path, "-p", "no:asyncio", "--aioproducer-kafka=localhost:1", text=SECURED)
    assert "2 skipped" in told


def test_an_option_that_means_nothing_is_refused(tmp_path: Path) -> None:
    status, told = run(tmp_path, "--kafka=docker", text="")
    assert status == 4
    assert "neither embedded, nor real, nor HOST:PORT" in told


def test_nothing_is_loaded_until_a_fixture_is_asked_for(tmp_path: Path) -> None:
    text = """
import sys

def test_it():
    loaded = {name for name in sys.modules if name.startswith("aioproducer")}
    assert loaded <= {
        "aioproducer", "aioproducer._version", "aioproducer.testing", "aioproducer.testing.pytest_plugin"
    }, loaded
    assert not {"crc32c", "trio"} & set(sys.modules)
"""
    status, told = run(tmp_path, "-p", "no:asyncio", "-p", "no:anyio", text=text)
    assert status == 0, told


@pytest.mark.kafka
@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["in one process", "in two"])
def test_a_real_kafka_is_started_on_request(tmp_path: Path, processes: tuple[str, ...]) -> None:
    files = {"real": NEEDS_REAL, "blocking": BLOCKING, "loops": FOR_ASYNCIO}
    status, told = run(tmp_path, "--kafka=real", *processes, **files)
    assert status == 0, told
    assert "6 passed, 1 skipped" in told

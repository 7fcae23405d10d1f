"""`aioproducer dev` in a process of its own: clients of others send to it, it shows what arrives, signals end it."""

from __future__ import annotations

import queue
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

import anyio
import confluent_kafka
import pytest

from aioproducer import Producer
from aioproducer._cli.dev import line_of
from aioproducer.testing._log_reader import LogRecord
from aioproducer.testing._tail import Arrival

if TYPE_CHECKING:
    from collections.abc import Generator

SECONDS: Final = 20.0


@dataclass
class Dev:
    """The process, and the lines that it prints."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str]
    servers: str = ""
    security: str = ""

    def line(self) -> str:
        """The next line; not for long."""
        return self.lines.get(timeout=SECONDS)

    def end(self, number: signal.Signals) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextmanager
def dev(*arguments: str) -> Generator[Dev]:
    command = [sys.executable, "-m", "aioproducer", "dev", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        running = Dev(process, queue.Queue())
        reader = threading.Thread(target=_copy, args=(process.stdout, running.lines))
        reader.start()
        try:
            _, _, running.servers = running.line().partition(": ")
            second = running.line()
            if "security_protocol" in second:
                running.security, second = second, running.line()
            assert "Ctrl-C" in second
            yield running
        finally:
            process.kill()
            reader.join(SECONDS)


def _copy(stream: IO[str], lines: queue.Queue[str]) -> None:
    for line in stream:
        lines.put(line.rstrip("\n"))


def confluent_send(servers: str, topic: str, value: bytes | None, key: bytes | None) -> None:
    producer: Any = confluent_kafka.Producer({"bootstrap.servers": servers, "linger.ms": 0, "log_level": 0})
    producer.produce(topic, value, key)
    assert producer.flush(SECONDS) == 0


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_another_client_sends_and_a_line_tells_of_it_and_a_signal_ends_it(loop: str, number: signal.Signals) -> None:
    with dev("--loop", loop) as running:
        confluent_send(running.servers, "orders", b"secret", b"k1")
        assert running.line() == "orders[0]@0 key=k1 6 bytes"
        confluent_send(running.servers, "orders", None, None)
        assert running.line() == "orders[0]@1 key=null null"
        assert running.end(number) == 0
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""
        host, port = running.servers.split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))


def test_values_are_shown_on_request_and_topics_can_be_there_at_the_start() -> None:
    async def send(servers: str) -> None:
        async with Producer[bytes, bytes](bootstrap_servers=servers) as producer:
            assert (await producer.partitions_for("orders")).partition_count == 3
            with anyio.fail_after(SECONDS):
                await producer.send("orders", b"caf\xc3\xa9\n\xff", partition=2)

    with dev("--values", "--brokers", "3", "--topic", "orders:3") as running:
        assert len(running.servers.split(",")) == 3
        anyio.run(send, running.servers)
        assert running.line() == "orders[2]@0 key=null 7 bytes café\\n\\xff"
        assert running.end(signal.SIGTERM) == 0


def test_it_speaks_tls_and_asks_for_a_login_and_prints_what_that_takes() -> None:
    with dev("--tls", "--user", "alice:her-secret", "--user", "bob:x", "--brokers", "2") as running:
        told = dict(pair.split("=", 1) for pair in running.security.split())
        assert "her-secret" not in running.security
        settings = {
            "bootstrap.servers": running.servers,
            "log_level": 0,
            "security.protocol": told["security_protocol"],
            "ssl.ca.location": told["ssl_truststore_location"],
            "sasl.mechanism": told["sasl_mechanism"],
            "sasl.username": told["sasl_username"],
            "sasl.password": "her-secret",
        }
        producer: Any = confluent_kafka.Producer(settings)
        producer.produce("orders", b"value")
        assert producer.flush(SECONDS) == 0
        assert running.line() == "orders[0]@0 key=null 5 bytes"
        assert running.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("more", [(), ("--real",)], ids=["embedded", "real"])
def test_a_port_that_is_taken_is_said_so(more: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "aioproducer", "dev", "--port", str(taken.getsockname()[1]), *more]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 1
    assert "did not start" in ended.stderr
    assert "in use" in ended.stderr


def test_whoever_stops_reading_the_lines_ends_it_quietly() -> None:
    with dev() as running:
        assert running.process.stdout is not None
        server = running.servers
    # The reader of the first is a thread that cannot be stopped, so this one is made by hand.
    command = [sys.executable, "-m", "aioproducer", "dev", "--port", server.rpartition(":")[2]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.readline()
            process.stdout.close()
            confluent_send(server, "orders", b"v", None)
            assert process.wait(SECONDS) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.kafka
def test_a_real_kafka_can_be_run_instead() -> None:
    with dev("--real", "--values") as running:
        confluent_send(running.servers, "orders", b"v", b"k")
        assert running.line() == "orders[0]@0 key=k 1 bytes v"
        assert running.end(signal.SIGTERM) == 0


def test_what_would_disturb_a_terminal_is_escaped() -> None:
    record = LogRecord(0, 7, 0, b"\x1b[2Jk", b"v\r\n", (), -1, -1, -1, 7, False)
    assert line_of(Arrival("orders", record), shows_values=True) == "orders[0]@7 key=\\x1b[2Jk 3 bytes v\\r\\n"

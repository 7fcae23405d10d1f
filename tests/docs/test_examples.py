"""Every program of docs/examples runs, against an embedded cluster, and stops as it says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from aioproducer import ErrorCode
from aioproducer.testing import EmbeddedCluster
from tests.docs.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from aioproducer.testing import BlockingCluster

EXAMPLES: Final = ROOT / "docs" / "examples"
SECONDS: Final = 20


@pytest.fixture
def cluster() -> Generator[BlockingCluster]:
    with EmbeddedCluster.running() as running:
        yield running


def command(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-W", "error", *arguments]


def environment(cluster: BlockingCluster, **more: str) -> dict[str, str]:
    return {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers[0], **more}


@contextmanager
def running(arguments: list[str | Path], variables: dict[str, str]) -> Generator[subprocess.Popen[str]]:
    """A program in the background, killed if it does not end by itself."""
    process = subprocess.Popen(
        arguments, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def stop(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Send SIGTERM; return what was printed."""
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=SECONDS)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def ask(method: str, url: str, body: bytes | None = None) -> tuple[int, object]:
    """Call a server that may not listen yet; return the status and the JSON of its answer."""
    deadline = time.monotonic() + SECONDS
    while True:
        request = urllib.request.Request(url, data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_every_example_has_a_test() -> None:
    tested = {"plain_asyncio.py", "plain_trio.py", "fastapi_app.py", "aiohttp_app.py", "worker.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


def test_plain_asyncio(cluster: BlockingCluster) -> None:
    ended = subprocess.run(
        command(EXAMPLES / "plain_asyncio.py"),
        env=environment(cluster),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 100
    assert [record.value for record in cluster.records("orders")] == [b"order %d" % number for number in range(100)]


def test_plain_trio(cluster: BlockingCluster) -> None:
    ended = subprocess.run(
        command(EXAMPLES / "plain_trio.py"), env=environment(cluster), capture_output=True, text=True, timeout=SECONDS
    )
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "the last one is at 100\n")
    assert len(cluster.records("orders")) == 101


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_worker_delivers_what_it_accepted_when_it_is_told_to_stop(cluster: BlockingCluster, loop: str) -> None:
    with running(command(EXAMPLES / "worker.py", loop), environment(cluster)) as process:
        deadline = time.monotonic() + SECONDS
        while len(cluster.records("readings")) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        printed, errors = stop(process)
    assert (process.returncode, errors) == (0, "")
    values = [record.value for record in cluster.records("readings")]
    assert values == [b"%d" % number for number in range(len(values))]
    assert printed.splitlines() == ["stopping on SIGTERM", f"delivered {len(values)}"]


def test_fastapi(cluster: BlockingCluster) -> None:
    port = free_port()
    # Without -W error: what the server's own packages warn of is not ours.
    server: list[str | Path] = [sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLES, "--port", str(port)]
    with running([*server, "fastapi_app:app"], environment(cluster)) as process:
        url = f"http://127.0.0.1:{port}"
        assert ask("POST", f"{url}/orders/7", b"order") == (201, {"partition": 0, "offset": 0})
        assert ask("GET", f"{url}/ready") == (200, {"oldest_unsent_seconds": 0.0, "buffer_used": 0.0})
        assert ask("POST", f"{url}/clicks", b"click") == (202, None)
        with cluster.fail_next(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="orders"):
            status, detail = ask("POST", f"{url}/orders/7", b"refused")
        assert (status, detail) == (503, {"detail": {"possibly_written": False}})
        stop(process)
    assert [(record.key, record.value) for record in cluster.records("orders")] == [(b"7", b"order")]
    assert [record.value for record in cluster.records("clicks")] == [b"click"]


def test_aiohttp(cluster: BlockingCluster) -> None:
    port = free_port()
    program: list[str | Path] = [sys.executable, EXAMPLES / "aiohttp_app.py"]
    with running(program, environment(cluster, PORT=str(port))) as process:
        url = f"http://127.0.0.1:{port}"
        assert ask("POST", f"{url}/orders/7", b"first") == (201, {"partition": 0, "offset": 0})
        assert ask("POST", f"{url}/orders/7", b"second") == (201, {"partition": 0, "offset": 1})
        _, errors = stop(process)
    assert (process.returncode, errors) == (0, "")
    assert [record.value for record in cluster.records("orders")] == [b"first", b"second"]

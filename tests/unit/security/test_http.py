"""One HTTP request: bounded, cut when cancelled, and silent about what it carries."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING

import anyio
import pytest

from aioproducer._secret import Secret
from aioproducer.security._http import MAX_BODY_BYTES, HttpRequest, fetch
from aioproducer.security._threads import THREAD_NAME, run_in_thread
from aioproducer.security._urls import Url, service_url
from tests.unit.sasl.canary import CANARY, assert_hidden
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.http_server import Answer, Server
from tests.unit.security.tls import contexts

if TYPE_CHECKING:
    from collections.abc import Iterator


def threads_left() -> list[threading.Thread]:
    """The threads of requests, after those that are about to end have ended."""
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(10)
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def request_to(server: Server, *, timeout: float = 10.0, ssl_context: ssl.SSLContext | None = None) -> HttpRequest:
    return HttpRequest(
        service_url("url", f"{server.url}/token?x=1"),
        "POST",
        {"Authorization": Secret(f"Basic {CANARY}"), "Accept": "application/json"},
        Secret(f"secret={CANARY}"),
        timeout,
        ssl_context,
    )


async def test_request_and_answer_arrive_as_they_are(server: Server) -> None:
    server.answer(Answer(201, b"body", {"Retry-After": "7"}))
    response = await fetch(request_to(server))
    assert (response.status, response.body, response.retry_after) == (201, Secret("body"), 7.0)
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/token?x=1", f"secret={CANARY}".encode())
    assert asked.headers["Authorization"] == f"Basic {CANARY}"
    assert asked.headers["Host"] == f"127.0.0.1:{server.port}"
    assert asked.headers["Connection"] == "close"
    assert_hidden(repr(response) + repr(request_to(server)))


@pytest.mark.parametrize("text", ["", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "1.5", "9999999"])
async def test_other_forms_of_retry_after_count_as_absent(server: Server, text: str) -> None:
    server.answer(Answer(429, headers={"Retry-After": text}))
    assert (await fetch(request_to(server))).retry_after is None


async def test_a_redirect_is_an_answer_and_nothing_more(server: Server) -> None:
    server.answer(Answer(302, headers={"Location": f"{server.url}/elsewhere"}))
    assert (await fetch(request_to(server))).status == 302
    assert len(server.asked) == 1


async def test_the_longest_answer_is_taken(server: Server) -> None:
    server.answer(Answer(200, bytes(MAX_BODY_BYTES)))
    assert len((await fetch(request_to(server))).body.reveal_bytes()) == MAX_BODY_BYTES


@pytest.mark.parametrize("length", [str(MAX_BODY_BYTES + 1), str(10**15)])
async def test_a_longer_answer_is_refused(server: Server, length: str) -> None:
    server.answer(Answer(200, bytes(MAX_BODY_BYTES + 1), {"Content-Length": length}))
    error = await error_when_awaited(fetch(request_to(server)))
    assert "longer than 262,144 bytes" in str(error)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200,
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsh",
        b"HTTP/1.1 200 " + b"x" * 70_000,
        b"\xff" * 100,
    ],
    ids=range(9),
)
async def test_what_is_no_http_is_a_failure_that_may_pass(server: Server, raw: bytes) -> None:
    server.answer(Answer(raw=raw))
    error = await error_when_awaited(fetch(request_to(server)))
    assert error.retriable
    assert server.url in str(error)


async def test_a_server_that_echoes_the_request_is_not_quoted(server: Server) -> None:
    server.answer(Answer(raw=f"{CANARY} {CANARY}\r\n{CANARY}\r\n\r\n".encode()))
    await error_when_awaited(fetch(request_to(server)))


async def test_nobody_listening_is_a_failure_that_may_pass() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = service_url("url", f"http://127.0.0.1:{unused.getsockname()[1]}/")
        error = await error_when_awaited(fetch(HttpRequest(url, body=Secret(CANARY))))
    assert error.retriable
    assert "ConnectionRefusedError while connecting" in str(error)


async def test_a_name_that_cannot_be_looked_up_is_a_failure_that_may_pass() -> None:
    url = Url(text="", host="a" * 64 + ".example", port=80, is_https=False, target="/")  # too long a label
    error = await error_when_awaited(fetch(HttpRequest(url, body=Secret(CANARY))))
    assert error.retriable


async def test_a_header_that_cannot_be_sent_is_not_quoted(server: Server) -> None:
    request = HttpRequest(service_url("url", server.url), headers={"X": Secret(f"{CANARY}\n{CANARY}")})
    error = await error_when_awaited(fetch(request))
    assert "ValueError" in str(error)


@pytest.mark.parametrize("hangs_after", [0, 3])
async def test_a_slow_answer_is_given_up_and_its_thread_ends(server: Server, hangs_after: int) -> None:
    server.answer(Answer(200, b"body", hangs_after=hangs_after))
    error = await error_when_awaited(fetch(request_to(server, timeout=0.05)))
    assert error.retriable
    assert "within 0.05 s (" in str(error)
    assert threads_left() == []


async def test_when_cancelled_the_connection_is_cut(server: Server) -> None:
    server.answer(Answer(200, b"body", hangs_after=0))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fetch, request_to(server))
        await run_in_thread(server.hanging.acquire)
        tasks.cancel_scope.cancel()
    assert threads_left() == []


@pytest.fixture(scope="module")
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts()


@pytest.fixture
def secure_server(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Server]:
    with Server(tls[0]) as running:
        yield running


async def test_https_with_a_ca_of_our_own(secure_server: Server, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    secure_server.answer(Answer(200, b"body"))
    assert (await fetch(request_to(secure_server, ssl_context=tls[1]))).body == Secret("body")


async def test_a_certificate_that_is_not_trusted_is_final(secure_server: Server) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    error = await error_when_awaited(fetch(request_to(secure_server, ssl_context=context)))
    assert not error.retriable
    assert "is not trusted: " in str(error)


async def test_a_certificate_of_another_name_is_final(
    secure_server: Server, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    url = service_url("url", f"https://localhost:{secure_server.port}/")
    error = await error_when_awaited(fetch(HttpRequest(url, ssl_context=tls[1])))
    assert not error.retriable
    assert "ostname mismatch" in str(error)


async def test_a_handshake_that_never_ends_is_given_up_and_its_thread_ends(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = service_url("url", f"https://127.0.0.1:{silent.getsockname()[1]}/")
        error = await error_when_awaited(fetch(HttpRequest(url, timeout=0.05, ssl_context=tls[1])))
    assert "(in the TLS handshake)" in str(error)
    assert threads_left() == []


async def test_https_to_a_plain_server_is_a_failure_of_the_handshake(server: Server) -> None:
    server.answer(Answer())
    url = service_url("url", f"https://127.0.0.1:{server.port}/")
    error = await error_when_awaited(fetch(HttpRequest(url)))
    assert "in the TLS handshake" in str(error)


async def test_a_proxy_is_asked_with_its_password(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{server.port}")
    server.answer(Answer(200, b"by proxy"))
    url = service_url("url", "http://login.example.test/token", allow_plain_http=True)
    assert (await fetch(HttpRequest(url))).body == Secret("by proxy")
    (asked,) = server.asked
    assert asked.path == "http://login.example.test/token"
    assert asked.headers["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"
    assert asked.headers["Host"] == "login.example.test"


async def test_a_proxy_that_refuses_the_tunnel_is_a_failure(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://user:{CANARY}@127.0.0.1:{server.port}")
    url = service_url("url", "https://login.example.test/token")
    error = await error_when_awaited(fetch(HttpRequest(url)))
    assert error.retriable

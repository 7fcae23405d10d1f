"""One HTTP request, in a thread of its own: bounded in time and size, and without a word of it in any error.

By the standard library, since tokens are fetched once an hour. Redirects are not followed: the next host would be given
the credentials. TLS is verified against the system's CAs, or the caller's context. Proxies are those of the environment
(HTTPS_PROXY, NO_PROXY), except for metadata services, which are asked directly.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio

from aioproducer._secret import Secret
from aioproducer.security._failures import refused, unavailable
from aioproducer.security._threads import run_in_thread

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from http.client import HTTPConnection

    from aioproducer.errors import AuthenticationError
    from aioproducer.security._urls import Url

MAX_BODY_BYTES: Final = 262_144
"""A longer answer is refused: brokers take no token above 524,288 bytes, and none is near it."""

TIMEOUT_SECONDS: Final = 10.0

_GRACE_SECONDS: Final = 1.0

HeaderValue: TypeAlias = str | Secret


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is asked of whom.

    Attributes:
        url: where.
        method: GET, POST or PUT.
        headers: secret ones as Secret.
        body: what is posted, encoded.
        timeout: seconds for all of it, from the look-up of the name to the last byte.
        ssl_context: for https; None: the system's CAs.
    """

    url: Url
    method: str = "GET"
    headers: Mapping[str, HeaderValue] = field(default_factory=dict[str, HeaderValue])
    body: Secret | None = None
    timeout: float = TIMEOUT_SECONDS
    ssl_context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer of any status.

    Attributes:
        status: such as 200.
        body: may hold a token.
        retry_after: seconds, from the header of this name; None without one, or when it is a date.
    """

    status: int
    body: Secret
    retry_after: float | None = None


async def fetch(request: HttpRequest) -> HttpResponse:
    """Send a request and return the answer. Cancel-safe: the connection is cut, and its thread ends.

    Raises:
        AuthenticationError: no answer in time, or none that is HTTP, or too long a one (retriable); a certificate that
            is not trusted (not retriable).
    """
    call = _Call(request)
    with anyio.move_on_after(request.timeout):
        return await run_in_thread(call.run, abort=call.abort)
    raise unavailable(f"no answer from {request.url.shown} within {request.timeout:g} s ({call.phase})")


class _Call:
    """The blocking side of one request; `abort` may be called from another thread."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._connection: HTTPConnection | None = None
        # Kept apart: an HTTPConnection lets go of its socket with the headers of the last answer.
        self._socket: socket.socket | None = None
        self._is_aborted = False
        self.phase = "connecting"

    def run(self) -> HttpResponse:
        response, error = self._attempt()
        if response is None:
            # Raised here, apart from what caused it: the frames of http.client have headers and body in their locals.
            raise error or AssertionError("neither answer nor error")
        return response

    def abort(self) -> None:
        self._is_aborted = True
        if self._socket is not None:
            try:
                # The socket's own: SSLSocket.shutdown would take the TLS object from under the thread that reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:  # not connected yet, or no more
                pass

    def _attempt(self) -> tuple[HttpResponse | None, AuthenticationError | None]:
        from http.client import HTTPException

        try:
            self._connect()
            return self._exchange(), None
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a host or header that cannot be sent
            return None, self._failure(error)
        finally:
            if self._connection is not None:
                self._connection.close()

    def _failure(self, error: Exception) -> AuthenticationError:
        shown = self._request.url.shown
        if type(error).__name__ == "SSLCertVerificationError":  # not imported: ssl is loaded for https only
            reason = getattr(error, "verify_message", "") or "not verified"
            return refused(f"the certificate of {shown} is not trusted: {reason}; give ssl_context with its CA")
        if isinstance(error, _TooLongError):
            return unavailable(f"the answer of {shown} is longer than {MAX_BODY_BYTES:,} bytes")
        # The text of an OSError is the system's; those of the others may quote what was sent or received.
        reason = f": {error.strerror or error}" if isinstance(error, OSError) else ""
        return unavailable(f"{shown}: {type(error).__name__} while {self.phase}{reason}")

    def _connect(self) -> None:
        from http.client import HTTPConnection

        url, timeout = self._request.url, self._request.timeout
        proxy = url.proxy()
        host, port = (url.host, url.port) if proxy is None else (proxy.host, proxy.port)
        # Who waits gives up first, and cuts the connection; this is for when the event loop has ended.
        self._connection = connection = HTTPConnection(host, port, timeout=timeout + _GRACE_SECONDS)
        if proxy is not None and url.is_https:
            authorization = proxy.authorization()
            connection.set_tunnel(url.host, url.port, headers={k: _revealed(v) for k, v in authorization.items()})
        connection.connect()
        self._socket = connection.sock
        self._check_aborted()
        if url.is_https:
            self._start_tls(connection)

    def _check_aborted(self) -> None:
        """Stop if `abort` came while there was no socket that it could have cut."""
        if self._is_aborted:
            raise ConnectionAbortedError

    def _start_tls(self, connection: HTTPConnection) -> None:
        import ssl

        self.phase = "in the TLS handshake"
        context = self._request.ssl_context or ssl.create_default_context()
        # The handshake apart from the wrapping: until it is over, `abort` needs the socket that has the descriptor.
        secured = context.wrap_socket(
            connection.sock, server_hostname=self._request.url.host, do_handshake_on_connect=False
        )
        connection.sock = self._socket = secured
        self._check_aborted()
        secured.do_handshake()

    def _exchange(self) -> HttpResponse:
        connection, request = self._connection, self._request
        assert connection is not None
        self.phase = "sending the request"
        proxy = request.url.proxy()
        is_forwarded = proxy is not None and not request.url.is_https
        headers: dict[str, HeaderValue] = {"Host": request.url.authority, "Connection": "close", **request.headers}
        if proxy is not None and is_forwarded:
            headers.update(proxy.authorization())
        connection.request(
            request.method,
            request.url.text if is_forwarded else request.url.target,
            body=None if request.body is None else request.body.reveal_bytes(),
            headers={name: _revealed(value) for name, value in headers.items()},
        )
        self.phase = "waiting for the answer"
        response = connection.getresponse()
        self.phase = "reading the answer"
        # One byte more than is allowed tells a longer answer, whatever its headers say.
        body = Secret(response.read(MAX_BODY_BYTES + 1))
        if len(body.reveal_bytes()) > MAX_BODY_BYTES:
            raise _TooLongError
        if response.length:  # http.client tells of it only when asked for all
            raise ConnectionResetError(f"{response.length} bytes of the answer are missing")
        return HttpResponse(response.status, body, _seconds(response.getheader("Retry-After")))


class _TooLongError(OSError):
    """The answer has more bytes than it may."""


def _revealed(value: HeaderValue) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _seconds(text: str | None) -> float | None:
    """Return the seconds of Retry-After; its other form, a date, counts as absent."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else None

"""A session: where a connection stands with its authentication (KIP-43, KIP-152, KIP-306, KIP-368).

As in Kafka (Java classes SaslServerAuthenticator, KafkaChannel, Processor): ApiVersions at most once, then the
handshake, then tokens. A client that breaks the order is cut off, with error 34 where it has chosen a mechanism. A
client that fails is told so after a while, and then cut off. A session that has a lifetime may be renewed on the same
connection, once a second at most, with the same mechanism and by the same principal; when it is over, any request but a
handshake cuts the connection off.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, assert_never

from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from aioproducer._wire.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker import apis
from aioproducer.testing._broker.faults import Effect
from aioproducer.testing._broker.requests import Ending
from aioproducer.testing._broker.sasl.mechanisms import MECHANISMS
from aioproducer.testing._broker.sasl.steps import Authenticated, Mechanism, SaslError

if TYPE_CHECKING:
    from aioproducer._wire.schema import Message, Response
    from aioproducer.testing._broker.requests import Outcome, Request
    from aioproducer.testing._broker.state import ClusterState

SECONDS_BETWEEN_REAUTHENTICATIONS: Final = 1.0


class Phase(Enum):
    """How far the connection has come. WRONG_MECHANISM: a session was to be renewed with another one; Kafka takes the
    handshake, and cuts the client off with the next request.
    """

    BEGIN = auto()
    HANDSHAKE_DUE = auto()
    TOKEN_DUE = auto()
    AUTHENTICATED = auto()
    WRONG_MECHANISM = auto()


class _Asked(Enum):
    VERSIONS = auto()
    HANDSHAKE = auto()
    TOKEN = auto()
    ANYTHING = auto()


class _Action(Enum):
    TELL_VERSIONS = auto()
    SHAKE_HANDS = auto()
    STEP = auto()
    SERVE = auto()
    RENEW = auto()
    REFUSE = auto()
    CLOSE_LATE = auto()
    CLOSE = auto()


_ASKED: Final = {
    ApiKey.API_VERSIONS: _Asked.VERSIONS,
    ApiKey.SASL_HANDSHAKE: _Asked.HANDSHAKE,
    ApiKey.SASL_AUTHENTICATE: _Asked.TOKEN,
}
_ACTIONS: Final = {
    (Phase.BEGIN, _Asked.VERSIONS): _Action.TELL_VERSIONS,
    (Phase.BEGIN, _Asked.HANDSHAKE): _Action.SHAKE_HANDS,
    (Phase.BEGIN, _Asked.TOKEN): _Action.CLOSE,
    (Phase.BEGIN, _Asked.ANYTHING): _Action.CLOSE,
    (Phase.HANDSHAKE_DUE, _Asked.VERSIONS): _Action.CLOSE,
    (Phase.HANDSHAKE_DUE, _Asked.HANDSHAKE): _Action.SHAKE_HANDS,
    (Phase.HANDSHAKE_DUE, _Asked.TOKEN): _Action.CLOSE,
    (Phase.HANDSHAKE_DUE, _Asked.ANYTHING): _Action.CLOSE,
    (Phase.TOKEN_DUE, _Asked.VERSIONS): _Action.REFUSE,
    (Phase.TOKEN_DUE, _Asked.HANDSHAKE): _Action.REFUSE,
    (Phase.TOKEN_DUE, _Asked.TOKEN): _Action.STEP,
    (Phase.TOKEN_DUE, _Asked.ANYTHING): _Action.REFUSE,
    (Phase.AUTHENTICATED, _Asked.VERSIONS): _Action.SERVE,
    (Phase.AUTHENTICATED, _Asked.HANDSHAKE): _Action.RENEW,
    (Phase.AUTHENTICATED, _Asked.TOKEN): _Action.SERVE,
    (Phase.AUTHENTICATED, _Asked.ANYTHING): _Action.SERVE,
    (Phase.WRONG_MECHANISM, _Asked.VERSIONS): _Action.CLOSE_LATE,
    (Phase.WRONG_MECHANISM, _Asked.HANDSHAKE): _Action.CLOSE_LATE,
    (Phase.WRONG_MECHANISM, _Asked.TOKEN): _Action.CLOSE_LATE,
    (Phase.WRONG_MECHANISM, _Asked.ANYTHING): _Action.CLOSE_LATE,
}


class Session:
    """The authentication of one connection.

    Attributes:
        principal: who the client is; None until it is known. What is carried out is carried out for this one.
        mechanism: the one that was chosen, or None.
    """

    def __init__(self, state: ClusterState) -> None:
        self.principal: str | None = None
        self.mechanism: str | None = None
        self._state = state
        self._phase = Phase.BEGIN
        self._exchange: Mechanism | None = None
        self._expires_at: float | None = None
        self._renewal_began_at: float | None = None

    @property
    def is_authenticated(self) -> bool:
        """Whether requests are carried out."""
        return self._phase is Phase.AUTHENTICATED

    @property
    def may_ask_for_versions(self) -> bool:
        """Whether ApiVersions is answered now."""
        return self._phase in (Phase.BEGIN, Phase.AUTHENTICATED)

    def expire(self) -> None:
        """The session is over: the next request that is not a handshake cuts the connection off."""
        if self.is_authenticated:
            self._expires_at = self._state.now

    def on_request(self, request: Request, message: Message) -> Outcome | None:
        """Answer a request, or return None for one that is carried out as on any connection."""
        asked = _ASKED.get(ApiKey(request.api_key), _Asked.ANYTHING)
        match _ACTIONS[self._phase, asked]:
            case _Action.TELL_VERSIONS:
                answer = apis.handle(self._state, request, message)
                if not getattr(answer, "error_code", 0):
                    self._phase = Phase.HANDSHAKE_DUE
                return answer
            case _Action.SHAKE_HANDS:
                assert isinstance(message, SaslHandshakeRequest)
                return self._shake_hands(request, message)
            case _Action.STEP:
                assert isinstance(message, SaslAuthenticateRequest)
                return self._step(request, message)
            case _Action.SERVE:
                return Ending() if self._is_expired(request.now) else None
            case _Action.RENEW:
                assert isinstance(message, SaslHandshakeRequest)
                return self._renew(request, message)
            case _Action.REFUSE:
                return self._after_delay(apis.refusal(message, request, ErrorCode.ILLEGAL_SASL_STATE))
            case _Action.CLOSE_LATE:
                return self._after_delay(None)
            case _Action.CLOSE:
                return Ending()
            case _ as never:
                assert_never(never)

    @property
    def _delay(self) -> float:
        return self._state.options.connection_failed_authentication_delay_ms / 1000

    def _is_expired(self, now: float) -> bool:
        return self._expires_at is not None and now >= self._expires_at

    def _renew(self, request: Request, message: SaslHandshakeRequest) -> Outcome | None:
        """Begin another authentication. Where it may not begin, the handshake is a request as any other, and the API
        answers it with ILLEGAL_SASL_STATE.
        """
        began = self._renewal_began_at
        if self._expires_at is None:
            return None
        if began is not None and request.now - began < SECONDS_BETWEEN_REAUTHENTICATIONS:
            return Ending() if self._is_expired(request.now) else None
        self._renewal_began_at = request.now
        return self._shake_hands(request, message)

    def _shake_hands(self, request: Request, message: SaslHandshakeRequest) -> Outcome:
        enabled = self._state.options.sasl_mechanisms
        fault = self._state.faults.strike(Effect.FAIL, request.api_key, request.node_id)
        code = fault.code if fault is not None else ErrorCode.NONE
        if not code and message.mechanism not in enabled:
            code = ErrorCode.UNSUPPORTED_SASL_MECHANISM
        answer = SaslHandshakeResponse(error_code=code, mechanisms=list(enabled))
        if code:
            # One that renews its session is not told; measured with Kafka 4.3.1.
            return self._after_delay(answer) if self.principal is None else Ending()
        if self.principal is not None and message.mechanism != self.mechanism:
            self._phase = Phase.WRONG_MECHANISM
            return answer
        self.mechanism = message.mechanism
        self._exchange = MECHANISMS[message.mechanism](self._state)
        self._phase = Phase.TOKEN_DUE
        return answer

    def _step(self, request: Request, message: SaslAuthenticateRequest) -> Outcome:
        assert self._exchange is not None
        fault = self._state.faults.strike(Effect.FAIL, request.api_key, request.node_id)
        if fault is not None:
            return self._failed(self._unexplained(), fault.code)
        try:
            step = self._exchange.step(message.auth_bytes)
            if not isinstance(step, Authenticated):
                return SaslAuthenticateResponse(error_message="", auth_bytes=step.data)
            self._check_principal(f"User:{step.user}")
        except SaslError as error:
            return self._failed(error.text or self._unexplained(), ErrorCode.SASL_AUTHENTICATION_FAILED)
        self.principal = f"User:{step.user}"
        self._exchange = None
        self._phase = Phase.AUTHENTICATED
        lifetime_ms = self._lifetime_ms(step)
        self._expires_at = None if lifetime_ms is None else request.now + lifetime_ms / 1000
        return SaslAuthenticateResponse(error_message="", auth_bytes=step.data, session_lifetime_ms=lifetime_ms or 0)

    def _check_principal(self, principal: str) -> None:
        if self.principal in (None, principal):
            return
        before, after = (f"User.{each.removeprefix('User:')}" for each in (self.principal or "", principal))
        raise SaslError(f"Cannot change principals during re-authentication from {before}: {after}")

    def _lifetime_ms(self, step: Authenticated) -> int | None:
        """How long the session is good: until the credential expires, or as long as brokers allow; None for ever."""
        allowed = self._state.options.connections_max_reauth_ms
        limits = [allowed] if allowed > 0 else []
        if step.expires_at_ms is not None:
            limits.append(max(0, step.expires_at_ms - self._state.wall_ms))
        return min(limits, default=None)

    def _failed(self, text: str, code: int) -> Ending:
        return self._after_delay(SaslAuthenticateResponse(error_code=code, error_message=text))

    def _after_delay(self, answer: Response | None) -> Ending:
        """The end of a client that has failed: told late, so that guessing passwords takes time (KIP-306)."""
        return Ending(answer, answer_after=self._delay, close_after=self._delay)

    def _unexplained(self) -> str:
        """What Kafka says where it does not say why."""
        when = "authentication" if self.principal is None else "re-authentication"
        return f"Authentication failed during {when} due to invalid credentials with SASL mechanism {self.mechanism}"

"""InitProducerId: the request for a producer id, with a transactional id (its owner is the transactions) or without.

`IdempotentProducerId` owns that of a producer without transactions (KIP-98; any broker can answer it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._core.requests.backoff import RetryTimer
from aioproducer._core.requests.control_request import ControlRequest, OwnedRequest, RequestOwner, ResponseError
from aioproducer._core.requests.verdicts import INIT_PRODUCER_ID_VERDICTS, TRANSACTION_VERDICTS, Verdict
from aioproducer._logger import get_logger
from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer.errors import BrokerError, ErrorCode, UnsupportedVersionError

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.failures import Failures
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._core.requests.coordinators import Coordinator
    from aioproducer._wire.schema import Message

logger = get_logger("aioproducer.idempotence")

_NO_TRANSACTION_TIMEOUT: Final = 2**31 - 1  # what Kafka expects of a producer without transactions
_OWN_ID_SINCE: Final = 3


class ProducerIdAndEpoch(NamedTuple):
    """A producer id and its epoch."""

    producer_id: int
    producer_epoch: int


_NEW_PRODUCER: Final = ProducerIdAndEpoch(-1, -1)


class ProducerIdRequest(OwnedRequest):
    """Asks for a producer id and epoch.

    Attributes:
        own: those whose epoch is to be raised (KIP-360): only if they are the current ones does that succeed. None gets
            new ones; with a transactional id it takes over from whoever has it, and aborts what that one had begun.
    """

    request = InitProducerIdRequest

    def __init__(
        self, owner: RequestOwner, config: ProducerConfig, rng: random.Random, coordinator: Coordinator | None = None
    ) -> None:
        super().__init__(owner, RetryTimer(config, rng), coordinator)
        is_transactional = coordinator is not None
        self.verdicts: Mapping[int, Verdict] = (
            TRANSACTION_VERDICTS[ApiKey.INIT_PRODUCER_ID] if is_transactional else INIT_PRODUCER_ID_VERDICTS
        )
        self.own: ProducerIdAndEpoch | None = None
        self._transactional_id = config.transactional_id
        self._timeout_ms = config.transaction_timeout_ms if is_transactional else _NO_TRANSACTION_TIMEOUT

    def build(self, version: int) -> InitProducerIdRequest:
        if self.own is not None and version < _OWN_ID_SINCE:
            raise UnsupportedVersionError(
                "the transaction failed, and the coordinator is too old to go on after that (InitProducerId"
                f" {version}, {_OWN_ID_SINCE} is needed); make a new producer, or upgrade to Kafka 2.5",
                code=ErrorCode.UNSUPPORTED_VERSION,
                api="InitProducerId",
            )
        producer_id, producer_epoch = self.own or _NEW_PRODUCER
        return InitProducerIdRequest(
            transactional_id=self._transactional_id,
            transaction_timeout_ms=self._timeout_ms,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
        )

    def response_errors(self, message: Message) -> list[ResponseError]:
        assert isinstance(message, InitProducerIdResponse)
        if not message.error_code and min(message.producer_id, message.producer_epoch) < 0:
            return []  # no error and no id: an answer that says nothing, and is asked for again after a pause
        return [ResponseError(message.error_code)]

    @staticmethod
    def granted(message: Message) -> ProducerIdAndEpoch:
        """Return what a response without an error gives."""
        assert isinstance(message, InitProducerIdResponse)
        return ProducerIdAndEpoch(message.producer_id, message.producer_epoch)


class IdempotentProducerId:
    """Gets a producer id whenever `Sequences` has none.

    Attributes:
        request: the one request for it, to be registered.
    """

    def __init__(self, config: ProducerConfig, sequences: Sequences, failures: Failures, rng: random.Random) -> None:
        self._sequences = sequences
        self._failures = failures
        self.request = ProducerIdRequest(self, config, rng)

    def is_wanted(self, request: ControlRequest) -> bool:
        """Whether there is no producer id."""
        return self._sequences.needs_producer_id

    def on_success(self, request: ControlRequest, message: Message, now: float) -> None:
        """Number batches with the new producer id."""
        granted = ProducerIdRequest.granted(message)
        self._sequences.set_producer_id(*granted)
        fields = {
            "event_name": "producer_id",
            "producer_id": granted.producer_id,
            "producer_epoch": granted.producer_epoch,
        }
        logger.debug("producer id %d, epoch %d", *granted, extra=fields)

    def on_error(self, request: ControlRequest, verdict: Verdict, error: BrokerError, now: float) -> None:
        """Try again; fail what is buffered, and try again; or end the producer, as that would not help."""
        if request.retry(verdict, error, now):
            return
        error.fatal = verdict is Verdict.FATAL
        request.retry_timer.fail(error, now)
        if error.fatal:
            self._failures.fail_producer(error)
        else:
            self._failures.fail_queued(error, "no producer id, what was buffered fails, and it is tried again")

    def on_unsupported(self, request: ControlRequest, error: UnsupportedVersionError) -> None:
        """End the producer: the broker is too old for what every idempotent producer needs."""
        self._failures.fail_producer(error)

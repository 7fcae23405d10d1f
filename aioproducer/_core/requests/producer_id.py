"""When is InitProducerId sent, and what follows from its answer? (KIP-98; any broker can answer it)"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aioproducer._core.requests.verdicts import (
    INIT_PRODUCER_ID_RULES,
    UNLISTED_INIT_PRODUCER_ID_RULE,
    Rule,
    Verdict,
    exponential_backoff,
)
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer.errors._codes import RETRIABLE
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._wire.messages.init_producer_id import InitProducerIdResponse
    from aioproducer.errors import KafkaError

logger = logging.getLogger("aioproducer.idempotence")

_NO_TRANSACTION_TIMEOUT: Final = 2**31 - 1  # what Kafka expects of a producer without transactions


class Identity:
    """Gets a producer id whenever `Sequences` has none. One request at a time."""

    def __init__(self, config: ProducerConfig, sequences: Sequences, rng: random.Random) -> None:
        self.last_error: KafkaError | None = None
        self._sequences = sequences
        self._rng = rng
        self._backoff = config.retry_backoff_ms / 1000
        self._backoff_max = config.retry_backoff_max_ms / 1000
        self._in_progress = False
        self._attempts = 0
        self._not_before = float("-inf")

    def is_due(self, now: float) -> bool:
        """Whether the request should be made now."""
        return self._sequences.needs_producer_id and not self._in_progress and now >= self._not_before

    def next_at(self) -> float:
        """Return when the request is due; infinity if it is not needed or under way."""
        if not self._sequences.needs_producer_id or self._in_progress:
            return float("inf")
        return self._not_before

    def begin_request(self) -> InitProducerIdRequest:
        """Return the request; `on_response` or `fail` must follow."""
        self._in_progress = True
        return InitProducerIdRequest(
            transactional_id=None, transaction_timeout_ms=_NO_TRANSACTION_TIMEOUT, producer_id=-1, producer_epoch=-1
        )

    def on_response(
        self, response: InitProducerIdResponse, node_id: int, now: float
    ) -> tuple[Verdict, KafkaError | None]:
        """Take over the answer; return the verdict, and the error with FAIL (of what is buffered) and FATAL."""
        code = response.error_code
        rule = INIT_PRODUCER_ID_RULES.get(code)
        if rule is None:
            rule = Rule(Verdict.RETRY) if code in RETRIABLE else UNLISTED_INIT_PRODUCER_ID_RULE
        if rule.verdict is Verdict.DELIVERED:
            self._in_progress = False
            self._attempts = 0
            self.last_error = None
            self._sequences.set_producer_id(response.producer_id, response.producer_epoch)
            told = {
                "event": "producer_id",
                "producer_id": response.producer_id,
                "producer_epoch": response.producer_epoch,
            }
            logger.debug("producer id %d, epoch %d", response.producer_id, response.producer_epoch, extra=told)
            return rule.verdict, None
        error = error_for(code, api="InitProducerId", node=node_id)
        error.fatal = rule.verdict is Verdict.FATAL
        self.fail(error, now)
        return rule.verdict, error

    def fail(self, error: KafkaError | None, now: float) -> None:
        """The request was not answered, or refused; it is repeated with backoff."""
        self._in_progress = False
        self._attempts += 1
        self.last_error = error or self.last_error
        self._not_before = now + exponential_backoff(self._attempts, self._backoff, self._backoff_max, self._rng)

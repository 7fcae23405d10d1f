"""The part of a program that begins transactions, sends offsets, commits, aborts, loses patience, and calls again.

It does what the shell does for these calls (wait for tickets, forget them), and judges on the way: whether each call is
refused only when it may be, and whether a producer that cannot go on says so for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aioproducer._core.transactions.open_transaction import Awaited, TransactionOutcome
from aioproducer._core.transactions.requests import OffsetCommit
from aioproducer._types import ConsumerGroupMetadata, OffsetAndMetadata
from aioproducer.errors import (
    CommitOutcomeUnknownError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    ProducerClosedError,
    ProducerFencedError,
    TransactionAbortableError,
    TransactionAbortedError,
)
from tests.simulation.calls import Call, Violation
from tests.simulation.transactional import GROUPS, OFFSETS_OF

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from aioproducer._core.transactions.manager import TransactionManager
    from aioproducer._core.transactions.open_transaction import OpenTransaction, TransactionTicket
    from tests.simulation.clock import Clock
    from tests.simulation.scenario import Scenario
    from tests.simulation.trace import Trace

Verb = Literal["commit", "abort"]


class Work:
    """One transaction, and what its calls were told.

    Attributes:
        calls: the records given to it, accepted or not.
        offsets: by group, the last that was given to it.
        has_failed: a call of it was told that it can only be aborted.
        verb: which call was the last to end it; None if none was.
        was_commit_asked, was_abort_asked: the call was made.
        ticket: of the call that waits for its end.
        told: what its end was told to be.
        refusal: why the producer cannot go on, if that was told instead.
    """

    def __init__(self, transaction: OpenTransaction, number: int) -> None:
        self.transaction = transaction
        self.number = number
        self.calls: list[Call] = []
        self.offsets: dict[str, int] = {}
        self.has_failed = False
        self.verb: Verb | None = None
        self.was_commit_asked = False
        self.was_abort_asked = False
        self.ticket: TransactionTicket | None = None
        self.told: TransactionOutcome | None = None
        self.refusal: KafkaError | None = None
        self.cause: BaseException | None = None

    def __repr__(self) -> str:
        return f"transaction {self.number}"


class Transactor:
    """Uses the transactions of one producer.

    Attributes:
        works: all transactions, in their order.
        current: the one that has not been told to be over.
        fatal: why the producer cannot go on, once a call was told so.
        is_finishing: no other transaction is begun, and the open one is committed.
        waiting: tickets of calls that wait.
        is_closed: the producer was told to close; no call is made any more.
    """

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        transactions: TransactionManager,
        wake: Callable[[], None],
        rng: Random,
        trace: Trace,
        first_number: int,
    ) -> None:
        assert scenario.transactional is not None
        self.works: list[Work] = []
        self.current: Work | None = None
        self.fatal: KafkaError | None = None
        self.is_finishing = False
        self.is_closed = False
        self._scenario = scenario
        self._clock = clock
        self._transactions = transactions
        self._wake = wake
        self._rng = rng
        self._trace = trace
        self.waiting: list[TransactionTicket] = []
        self._ready: TransactionTicket | None = None
        self._first_number = first_number
        self._offset_calls = first_number
        self._probe: Callable[[], object] | None = None
        self._probe_work: Work | None = None
        self._max_block = scenario.config.max_block_ms / 1000

    def on_call(self, call: Call) -> None:
        """A record is about to be sent: it belongs to the transaction that is open, if it is accepted at all."""
        if self.current is not None:
            self.current.calls.append(call)

    @property
    def is_idle(self) -> bool:
        """Whether no transaction is open, or nothing can be done about it any more."""
        return self.current is None or self.fatal is not None

    @property
    def is_probed(self) -> bool:
        """Whether the transaction that was begun when all was well again has come to an end, or cannot."""
        return self.fatal is not None or (self._probe_work is not None and self._probe_work.told is not None)

    @property
    def probe_work(self) -> Work | None:
        """The transaction that was begun when all was well again."""
        return self._probe_work

    # ── steps of the program ─────────────────────────────────────────────────────────────────────────────────────────

    def step(self) -> None:
        """Do something, or nothing."""
        work, drawn = self.current, self._rng.random()
        if self.fatal is not None:
            self._check_that_it_says_so(self.fatal)
        elif work is None:
            self._step_outside(drawn)
        elif work.ticket is not None:
            if drawn < 0.2 and not self.is_finishing:
                self._abandon(work)
        elif work.verb is not None:
            self._step_again(work, work.verb, drawn)
        elif self.is_finishing or drawn < 0.5:
            self._end(work, "commit")
        elif drawn < 0.65:
            self._end(work, "abort")
        elif drawn < 0.9:
            self._send_offsets(work)

    def probe(self, submit: Callable[[], object]) -> None:
        """All is well again: end what is open, and then begin a transaction, submit, and commit it."""
        self.is_finishing = True
        self._probe = submit

    def _step_outside(self, drawn: float) -> None:
        if self._ready is not None:
            if drawn < 0.1 and not self.is_finishing:
                self._forget(self._ready)
                self._ready = None
            return
        if not self.is_finishing or (self._probe is not None and self._probe_work is None):
            self._begin()

    def _step_again(self, work: Work, verb: Verb, drawn: float) -> None:
        """Nobody waits for the end of it: as a wait was given up, or its time was up."""
        if drawn < 0.5 or self.is_finishing:
            self._end(work, verb)
        elif drawn < 0.7:
            self._end(work, "abort" if verb == "commit" else "commit")
        elif drawn < 0.9:
            self._begin()

    def _abandon(self, work: Work) -> None:
        assert work.ticket is not None
        self._trace("forget", work, work.ticket.awaited.name)
        self._forget(work.ticket)
        work.ticket = None

    def _forget(self, ticket: TransactionTicket) -> None:
        self._transactions.forget(ticket)
        if ticket in self.waiting:
            self.waiting.remove(ticket)

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        transactions, now = self._transactions, self._clock.now
        if self.is_closed or self._ready is not None:
            return
        if transactions.is_passing:
            self._ready = self._await(transactions.wait_ready(now))
            return
        try:
            transaction = transactions.begin(now)
        except KafkaError as error:
            self._on_refused(error, "begin")
            return
        if self.current is not None:  # it ended in the background, and nobody asked how
            if self.current.transaction.outcome is None:
                raise Violation(f"another transaction was begun, and {self.current} is not over")
            self.current.told = self.current.transaction.outcome
        self.current = Work(transaction, self._first_number + len(self.works))
        self.works.append(self.current)
        self._trace("begin", self.current)
        if self._probe is not None and self._probe_work is None and self.is_finishing:
            self._probe_work = self.current
            self._probe()

    def _end(self, work: Work, verb: Verb) -> None:
        transactions, now = self._transactions, self._clock.now
        self._trace(verb, work)
        try:
            if verb == "commit":
                ticket = transactions.commit(work.transaction, now)
                work.was_commit_asked = True
            else:
                ticket = transactions.abort(work.transaction, now)
                work.was_abort_asked = True
        except KafkaError as error:
            self._on_refused(error, verb)
            return
        work.verb = verb
        work.ticket = self._await(ticket)

    def _send_offsets(self, work: Work) -> None:
        offset = self._offset_calls
        group = self._rng.choice(GROUPS)
        commit = OffsetCommit(ConsumerGroupMetadata(group), {OFFSETS_OF: OffsetAndMetadata(offset)})
        self._offset_calls += 1
        try:
            ticket = self._transactions.send_offsets(work.transaction, commit, self._clock.now)
        except (TransactionAbortableError, IllegalStateError) as error:
            if isinstance(error, IllegalStateError) and work.transaction.outcome is None:
                raise Violation(f"{work} is open, and takes no offsets: {error}") from error
            work.has_failed = True
        except ProducerFencedError:
            work.has_failed = True  # a record was the first to learn of it; the end of the transaction will tell
        except KafkaError as error:
            self._on_refused(error, "send_offsets")
        else:
            self._trace("send_offsets", work, offset, group)
            work.offsets[group] = offset
            self._await(ticket)

    def _await(self, ticket: TransactionTicket) -> TransactionTicket:
        self._wake()
        if ticket.done:
            self._clock.after(0.0, self._resume, ticket)
        else:
            self.waiting.append(ticket)
        return ticket

    def _on_refused(self, error: KafkaError, verb: str) -> None:
        self._trace("refused", verb, error)
        work = self.current
        if error.fatal or isinstance(error, ProducerClosedError):
            self._on_fatal(error)
        elif isinstance(error, IllegalStateError):
            if work is None or (verb == work.verb) or (verb == "abort" and not work.was_commit_asked):
                raise Violation(f"{verb} of {work} is refused, though it may be called: {error}")
        elif verb != "begin":
            raise Violation(f"{verb} of {work} raises {error!r}")

    def _check_that_it_says_so(self, fatal: KafkaError) -> None:
        try:
            if self._transactions.is_passing:
                raise Violation(f"the producer cannot go on ({fatal}), and another transaction may begin some time")
            self._transactions.begin(self._clock.now)
        except KafkaError as error:
            if type(error) is not type(fatal):
                raise Violation(f"the producer could not go on: {fatal!r}; and now it says {error!r}") from error
        else:
            raise Violation(f"the producer could not go on, and has begun a transaction: {fatal!r}")

    # ── what the calls are told ──────────────────────────────────────────────────────────────────────────────────────

    def wake_all(self) -> int:
        """Have the tasks run whose wait is over; return how many those are."""
        woken = self._transactions.take_woken()
        for ticket in woken:
            if ticket in self.waiting:
                self.waiting.remove(ticket)
            delay = self._rng.random() * 0.001 if self._scenario.is_trio else 0.0
            self._clock.after(delay, self._resume, ticket)
        return len(woken)

    def _resume(self, ticket: TransactionTicket) -> None:
        self._trace("told", ticket.awaited.name, ticket.error or "done")
        self._check_time(ticket)
        if ticket.awaited is Awaited.READY:
            self._on_ready(ticket)
            return
        work = next(each for each in reversed(self.works) if each.transaction is ticket.transaction)
        if ticket.awaited is Awaited.OFFSETS:
            if ticket.error is not None:
                work.has_failed = True
            return
        if work.ticket is not ticket:
            return  # forgotten in the same moment
        work.ticket = None
        self._on_end(work, ticket)
        if self.current is None and not self.is_finishing and self._rng.random() < 0.7:
            self._begin()

    def _check_time(self, ticket: TransactionTicket) -> None:
        limit = self._max_block
        if ticket.awaited in (Awaited.COMMIT, Awaited.ABORT):
            limit += self._scenario.config.delivery_timeout_ms / 1000 + 2 * self._max_block
        elapsed = self._clock.now - ticket.since
        if elapsed > limit + 2 * self._scenario.poll_lateness + 0.02:
            raise Violation(f"a call that waits for {ticket.awaited.name} took {elapsed:.3f} s")

    def _on_ready(self, ticket: TransactionTicket) -> None:
        if self._ready is not ticket:
            return
        self._ready = None
        if ticket.error is None:
            if self.fatal is None:
                self._begin()
        elif not isinstance(ticket.error, KafkaTimeoutError):
            self._on_fatal(ticket.error)

    def _on_end(self, work: Work, ticket: TransactionTicket) -> None:
        match ticket.error:
            case None:
                self._tell(
                    work,
                    TransactionOutcome.COMMITTED if ticket.awaited is Awaited.COMMIT else TransactionOutcome.ABORTED,
                )
            case TransactionAbortedError() as error:
                work.cause = error.__cause__
                self._tell(work, TransactionOutcome.ABORTED)
            case CommitOutcomeUnknownError() if work.was_commit_asked:
                pass  # call again
            case KafkaTimeoutError() if ticket.awaited is Awaited.ABORT:
                pass  # likewise
            case error:
                work.refusal = error
                self._on_fatal(error)

    def _tell(self, work: Work, outcome: TransactionOutcome) -> None:
        if work.told not in (None, outcome):
            raise Violation(f"{work} was told to be {work.told}, and is {outcome.name}")
        if outcome is TransactionOutcome.COMMITTED and (work.has_failed or not work.was_commit_asked):
            raise Violation(f"{work} is committed, and should have been aborted")
        work.told = outcome
        if work is self.current and work.transaction.outcome is not None:
            self.current = None
        self._check_patience(work)

    def _check_patience(self, work: Work) -> None:
        scenario = self._scenario
        if not scenario.is_patient or (scenario.transactional and scenario.transactional.rivals):
            return
        is_excused = self.is_closed or work.was_abort_asked or any(call.is_grown for call in work.calls)
        if work.told is TransactionOutcome.ABORTED and not is_excused:
            raise Violation(f"{work} could not be committed in spite of all patience: {work.cause!r}")

    def _on_fatal(self, error: KafkaError) -> None:
        if not isinstance(error, ProducerClosedError) and not error.fatal:
            raise Violation(f"an end was told {error!r}")
        self._trace("fatal", error)
        if self.fatal is None:
            self.fatal = error

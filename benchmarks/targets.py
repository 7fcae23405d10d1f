"""What is to be reached, what was measured, and whether it is: one function for each target."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.report import ratios
from benchmarks.special import BUFFER_MB, FLAT_FLOORS, FLAT_PAIRS, IN_FLIGHT_MB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.runner import Figures, Result
    from benchmarks.saved import Measurement

OURS: Final = "aioproducer"

TASKS_LIMIT: Final = 1.8
SOCKET_LIMIT: Final = 1.3
CODEC_LEAST: Final = 1.0
KEYS_LEAST: Final = 0.7
LAG_LIMIT_MS: Final = 10.0
MEMORY_LIMIT_MB: Final = 1.2 * BUFFER_MB + IN_FLIGHT_MB + 30
IDLE_LIMIT_PERCENT: Final = 0.5
FLAT_LIMIT: Final = 1.3
IMPORT_BEYOND_MS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """A target and what was measured.

    Attributes:
        name: what is measured.
        values: of each round; their median counts.
        limit: what it may be at most, or has to be at least.
        is_at_most: which of both.
        unit: "x" is a ratio.
        floor: of each round, the same of bare tasks, which do all that the program does but send; or nothing.
    """

    name: str
    values: tuple[float, ...]
    limit: float
    is_at_most: bool = True
    unit: str = "x"
    floor: tuple[float, ...] = ()

    @property
    def measured(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool:
        """Whether the median keeps to the limit."""
        return self.measured <= self.limit if self.is_at_most else self.measured >= self.limit

    def line(self) -> str:
        """Return name, target, measured with its spread, and the verdict."""
        target = f"{'at most' if self.is_at_most else 'at least'} {self.limit:.4g} {self.unit}"
        found = f"{self.measured:.2f} [{min(self.values):.2f}-{max(self.values):.2f}] {self.unit}"
        verdict = "met" if self.is_met else "NOT MET"
        return f"{self.name:62}{target:22}{found:30}{verdict}{self.floor_text()}"

    def floor_text(self) -> str:
        """Return what bare tasks show, in words, or nothing."""
        return f"; bare tasks: {statistics.median(self.floor):.2f}" if self.floor else ""


def checks(measured: Measurement) -> list[Check]:
    """Return every target that the measurement says something of."""
    return [check for function in TARGETS for check in function(measured) if check.values]


def _rounds(result: Result | None, client: str) -> list[Figures]:
    return result.rounds.get(client, []) if result else []


def _floor(measured: Measurement, case: str, broker: str, floor: str, name: str) -> tuple[float, ...]:
    result = measured.result(case, broker)
    return tuple(ratios(_rounds(result, OURS), _rounds(result, floor), name))


def bare_tasks(measured: Measurement) -> Iterator[Check]:
    """CPU of tasks that send, by CPU of tasks that wait for one shared future."""
    for case in ("tasks-1000", "tasks-10000", "workers-1000"):
        values = _floor(measured, case, "kafka", "bare-tasks", "cpu_us")
        yield Check(f"{case}: CPU / that of bare tasks", values, TASKS_LIMIT)


def bare_socket(measured: Measurement) -> Iterator[Check]:
    """One at a time without linger, by an exchange of the same bytes on a socket."""
    for broker in ("kafka", "sink"):
        for name, word in (("latency_p50_ms", "p50"), ("cpu_us", "CPU")):
            values = _floor(measured, "one-linger-0", broker, "bare-socket", name)
            yield Check(f"one-linger-0, {broker}: {word} / that of a bare socket", values, SOCKET_LIMIT)


def codecs(measured: Measurement) -> Iterator[Check]:
    """records/s by confluent-kafka's, same codec and level."""
    for case in ("zstd", "lz4"):
        values = _floor(measured, case, "kafka", "confluent-kafka", "records_per_s")
        yield Check(f"{case}, 1 KB: records/s / confluent-kafka's", values, CODEC_LEAST, is_at_most=False)


def keys(measured: Measurement) -> Iterator[Check]:
    """records/s with 36-byte keys, all different, by records/s without keys."""
    keyed = _rounds(measured.result("keys-different", "kafka"), OURS)
    plain = _rounds(measured.result("pipelined", "kafka"), OURS)
    values = tuple(ratios(keyed, plain, "records_per_s"))
    yield Check("keys-different: records/s / those without keys", values, KEYS_LEAST, is_at_most=False)


def lag(measured: Measurement) -> Iterator[Check]:
    """How late a ticking task wakes, in every case and on every loop; of bare tasks on asyncio."""
    for result in measured.results:
        floor = _lags(_rounds(result, "bare-tasks"))
        for client, runs in result.rounds.items():
            if client.startswith(OURS):
                name = f"{result.case}, {result.broker}, {client.partition('-')[2] or 'asyncio'}: loop lag p99"
                yield Check(name, _lags(runs), LAG_LIMIT_MS, unit="ms", floor=floor)
    shapes = measured.special.flat if measured.special else {}
    for shape, runs in shapes.items():
        if shape not in FLAT_FLOORS.values():
            floor = _lags(shapes.get(FLAT_FLOORS.get(shape, ""), []))
            yield Check(f"{shape}: loop lag p99", _lags(runs), LAG_LIMIT_MS, unit="ms", floor=floor)


def _lags(runs: list[Figures]) -> tuple[float, ...]:
    return tuple(run["lag_p99_ms"] for run in runs if "lag_p99_ms" in run)


def memory(measured: Measurement) -> Iterator[Check]:
    """What the process grows by, a broker stalling."""
    for load, values in (measured.special.memory_mb if measured.special else {}).items():
        yield Check(f"memory beyond an idle producer, {load}", tuple(values), MEMORY_LIMIT_MB, unit="MB")


def idle(measured: Measurement) -> Iterator[Check]:
    """CPU of a producer with nothing to do."""
    values = tuple(measured.special.idle_percent) if measured.special else ()
    yield Check("idle, 10,000 partitions known: of a core", values, IDLE_LIMIT_PERCENT, unit="%")


def flat(measured: Measurement) -> Iterator[Check]:
    """CPU a record as things grow."""
    shapes = measured.special.flat if measured.special else {}
    for large, small in FLAT_PAIRS:
        values = tuple(ratios(shapes.get(large, []), shapes.get(small, []), "cpu_us"))
        bare_large, bare_small = (shapes.get(FLAT_FLOORS.get(shape, ""), []) for shape in (large, small))
        floor = tuple(ratios(bare_large, bare_small, "cpu_us"))
        yield Check(f"{large}: CPU / that of {small}", values, FLAT_LIMIT, floor=floor)


def imports(measured: Measurement) -> Iterator[Check]:
    """What an import takes beyond that of anyio."""
    times = measured.special.import_ms if measured.special else {}
    pairs = zip(times.get("aioproducer.Producer", []), times.get("anyio", []), strict=False)
    yield Check(
        "import of Producer beyond anyio", tuple(ours - anyio for ours, anyio in pairs), IMPORT_BEYOND_MS, unit="ms"
    )


TARGETS: Final[tuple[Callable[[Measurement], Iterator[Check]], ...]] = (
    bare_tasks,
    bare_socket,
    codecs,
    keys,
    memory,
    idle,
    flat,
    imports,
    lag,
)

"""How long do imports take, and how long is it from the start of a process to its first acknowledgement?

python -m benchmarks.startup
"""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
import time
from typing import Final

from benchmarks.brokers import sink
from benchmarks.machine import ROOT

STATEMENTS: Final = {
    "nothing": "",
    "anyio": "import anyio",
    "aioproducer": "import aioproducer",
    "aioproducer.Producer": "from aioproducer import Producer",
    "aioproducer.Producer(…)": "from aioproducer import Producer; Producer(bootstrap_servers='localhost:9092')",
    "aiokafka": "from aiokafka import AIOKafkaProducer",
    "confluent_kafka": "from confluent_kafka import Producer",
    "confluent_kafka.aio": "from confluent_kafka.aio import AIOProducer",
    "kafka-python": "from kafka import KafkaProducer",
}

_ASYNC: Final = """
import asyncio, time
async def main():
    {make}
    {send}
    print(time.monotonic(), flush=True)
    {end}
asyncio.run(main())
"""
FIRSTS: Final = {
    "aioproducer": _ASYNC.format(
        make="from aioproducer import Producer; p = Producer(bootstrap_servers='{0}', linger_ms=0); await p.start()",
        send="await p.send('{1}', b'value')",
        end="await p.close()",
    ),
    "aiokafka": _ASYNC.format(
        make="from aiokafka import AIOKafkaProducer as P; "
        "p = P(bootstrap_servers='{0}', acks='all', enable_idempotence=True); await p.start()",
        send="await p.send_and_wait('{1}', b'value')",
        end="await p.stop()",
    ),
    "confluent-kafka": """
import time
from confluent_kafka import Producer
p = Producer({{'bootstrap.servers': '{0}', 'linger.ms': 0, 'enable.idempotence': True}})
p.produce('{1}', b'value', on_delivery=lambda error, message: print(time.monotonic(), flush=True))
p.flush()
""",
    "confluent-aio": _ASYNC.format(
        make="from confluent_kafka.aio import AIOProducer; "
        "p = AIOProducer({{'bootstrap.servers': '{0}', 'linger.ms': 0, 'enable.idempotence': True}}, batch_size=1)",
        send="await (await p.produce('{1}', value=b'value'))",
        end="await p.close()",
    ),
    "kafka-python": """
import time
from kafka import KafkaProducer
p = KafkaProducer(bootstrap_servers='{0}', acks='all', enable_idempotence=True)
p.send('{1}', b'value').get(30)
print(time.monotonic(), flush=True)
p.close()
""",
}
"""A program for each client; {0} is the broker's address, {1} a topic that exists."""

RUN_SECONDS: Final = 60


def _environment() -> dict[str, str]:
    # Installed packages are compiled; without the byte code of ours, its import would take twice as long.
    compileall.compile_dir(ROOT / "aioproducer", quiet=2)
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def import_times(rounds: int) -> dict[str, list[float]]:
    """Return by statement ms beyond an empty process, for each round; the rounds alternate."""
    environment = _environment()
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(rounds):
        for name, statement in STATEMENTS.items():
            start = time.perf_counter()
            command = [sys.executable, "-c", statement]
            subprocess.run(command, check=True, cwd=ROOT, timeout=RUN_SECONDS, env=environment)
            times[name].append((time.perf_counter() - start) * 1e3)
    empty = statistics.median(times.pop("nothing"))
    return {name: [value - empty for value in values] for name, values in times.items()}


def first_acks(bootstrap: str, topic: str, rounds: int) -> dict[str, list[float]]:
    """Return by client ms from the start of the process to the first acknowledgement."""
    environment = _environment()
    times: dict[str, list[float]] = {name: [] for name in FIRSTS}
    for _ in range(rounds):
        for name, program in FIRSTS.items():
            command = [sys.executable, "-c", program.format(bootstrap, topic)]
            start = time.monotonic()
            done = subprocess.run(
                command, cwd=ROOT, timeout=RUN_SECONDS, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                times[name].append((float(done.stdout.split()[0]) - start) * 1e3)
            else:
                print(f"{name} has sent nothing: {done.stderr.strip()}")
    return {name: values for name, values in times.items() if values}


def main() -> None:
    """Print medians of a few rounds; first acknowledgements by the sink."""
    for name, values in import_times(5).items():
        print(f"import {name:26}{statistics.median(values):7.0f} ms")
    with sink() as bootstrap:
        for name, values in first_acks(bootstrap, "first-p6", 5).items():
            print(f"first acknowledgement {name:20}{statistics.median(values):7.0f} ms")


if __name__ == "__main__":
    main()

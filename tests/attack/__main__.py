"""`make attack`: whatever may be done to a producer, on every loop, in the form that is asked for.

    python -m tests.attack --minutes 60
    python -m tests.attack --minutes 60 --python build/compiled/venv/bin/python
    python -m tests.attack --point receive --error EndOfStream --loop trio
    python -m tests.attack --call Producer.send --way "forked child"
    python -m tests.attack --host "descriptors exhausted" --loop uvloop

Each attack has a process of its own, so that one that hangs or ends its loop is told as what it is. With --python those
are of that interpreter: the one of `make test-compiled` plays them on what was compiled, with the tests beside it.
"""

# ruff: noqa: T201 - what it prints is what it is for

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.attack.answers import APIS, Damage, attack_with, damages
from tests.attack.calls import Call, calls
from tests.attack.host import CONDITIONS, attack_host, can_be
from tests.attack.law import LOOPS
from tests.attack.play import attack
from tests.attack.points import ERRORS, NETWORK_POINTS, USER_POINTS
from tests.attack.ways import WAYS, applies, attack_call

SECONDS: Final = 60
AT_ONCE: Final = 2
FORM: Final = "import aioproducer; print('compiled' if aioproducer.__compiled__ else 'pure', aioproducer.__file__)"


class Case(NamedTuple):
    """One attack.

    Attributes:
        family: the row of the table that it counts in.
        choice: how the command line says it.
    """

    family: str
    choice: tuple[str, ...]


def product() -> Iterator[Case]:
    """Give every attack there is."""
    for loop in LOOPS:
        of_loop = ("--loop", loop)
        for point, error in itertools.product((*NETWORK_POINTS, *USER_POINTS), ERRORS):
            yield Case(f"raised in {point}", ("--point", point, "--error", error, *of_loop))
        for api in APIS:
            for damage in damages(api):
                yield Case(f"answers of {api.name}", ("--answer", str(damage), *of_loop))
        for condition in CONDITIONS:
            if can_be(condition, loop):
                yield Case(f"host: {condition}", ("--host", condition, *of_loop))
        for way, call in itertools.product(WAYS, calls()):
            if applies(call, way):
                yield Case(f"calls: {way}", ("--call", str(call), "--way", way, *of_loop))


class Runner:
    """Plays attacks in processes of an interpreter.

    Args:
        python: the interpreter; beside its environment may be a tree with the tests, as `make test-compiled` makes it.
    """

    def __init__(self, python: Path) -> None:
        self._python = str(python.absolute())
        tree = python.absolute().parents[2] / "tree"
        self._folder = tree if (tree / "tests").is_dir() else Path.cwd()
        self._environment = {**os.environ, "PYTHONPATH": ""} if self._folder == tree else dict(os.environ)

    def form(self) -> str:
        """Return which form of the package is attacked, and where that is."""
        command = [self._python, "-c", FORM]
        return subprocess.check_output(command, text=True, cwd=self._folder, env=self._environment).strip()

    def problems(self, case: Case) -> list[str]:
        """Play one attack; return what was wrong."""
        command = [self._python, "-m", "tests.attack", *case.choice]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
                cwd=self._folder,
                env=self._environment,
            )
        except subprocess.TimeoutExpired:
            return [f"not over after {SECONDS} s"]
        if done.returncode == 0:
            return []
        return done.stdout.splitlines() or [(done.stderr.strip().splitlines() or ["it crashed"])[-1]]


def many(minutes: float, seed: int, runner: Runner) -> int:
    """Play the whole product, in random order, until the time is up; print what was wrong, and a table."""
    every = list(product())
    random.Random(seed).shuffle(every)
    until = time.monotonic() + minutes * 60
    played: Counter[str] = Counter()
    broken: Counter[str] = Counter()

    def play(case: Case) -> None:
        if time.monotonic() > until:
            return
        problems = runner.problems(case)
        played[case.family] += 1
        if problems:
            broken[case.family] += 1
            print(f"{' '.join(case.choice)}: {'; '.join(problems)[:300]}", flush=True)

    print(f"seed {seed}, {runner.form()}", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(play, every))
    print(f"\nseed {seed}: {sum(played.values())} of {len(every)} attacks, {sum(broken.values())} broke a promise")
    for family in dict.fromkeys(case.family for case in product()):
        print(f"{family:34} {played[family]:5} played {broken[family]:4} broken")
    return 1 if broken else 0


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack")
    parser.add_argument("--point", choices=[*NETWORK_POINTS, *USER_POINTS])
    parser.add_argument("--error", choices=list(ERRORS), default="RuntimeError")
    parser.add_argument("--answer", type=Damage.parse, help="as test_answers.py prints it")
    parser.add_argument("--call", type=lambda text: Call(*text.split(".")), help="Producer.send")
    parser.add_argument("--way", choices=WAYS, default=WAYS[0])
    parser.add_argument("--host", choices=list(CONDITIONS))
    parser.add_argument("--loop", choices=list(LOOPS), default="asyncio")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="of the processes that are attacked")
    arguments = parser.parse_args()
    if arguments.point is not None:
        problems = attack(arguments.point, arguments.error, arguments.loop)
    elif arguments.answer is not None:
        problems = attack_with(arguments.answer, arguments.loop)
    elif arguments.call is not None:
        problems = attack_call(arguments.call, arguments.way, arguments.loop)
    elif arguments.host is not None:
        problems = attack_host(arguments.host, arguments.loop)
    else:
        return many(arguments.minutes, arguments.seed, Runner(arguments.python))
    print("\n".join(problems) or "every promise was kept")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

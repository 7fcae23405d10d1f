"""`make attack`: every point where foreign code is called × everything that it may raise × every loop.

    python -m tests.attack --minutes 60
    python -m tests.attack --point receive --error EndOfStream --loop trio

Each attack has a process of its own, so that one that hangs or ends its loop is told as what it is.
"""

# ruff: noqa: T201 - what it prints is what it is for

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.attack.answers import APIS, Damage, attack_with, damages
from tests.attack.play import LOOPS, attack
from tests.attack.points import ERRORS, NETWORK_POINTS, USER_POINTS

SECONDS: Final = 60
AT_ONCE: Final = 2


def one(family: str, what: str, loop: str) -> list[str]:
    """Play one attack in a process of its own; return what was wrong."""
    choice = ["--answer", what] if family in {api.name for api in APIS} else ["--point", family, "--error", what]
    command = [sys.executable, "-m", "tests.attack", *choice, "--loop", loop]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return [f"not over after {SECONDS} s"]
    if done.returncode == 0:
        return []
    return done.stdout.splitlines() or [done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it crashed"]


def many(minutes: float, seed: int) -> int:
    """Play the whole product, in random order, until the time is up; print what was wrong, and a table."""
    product = list(itertools.product((*NETWORK_POINTS, *USER_POINTS), ERRORS, LOOPS))
    product += [(api.name, str(damage), loop) for api in APIS for damage in damages(api) for loop in LOOPS]
    random.Random(seed).shuffle(product)
    until = time.monotonic() + minutes * 60
    played: Counter[str] = Counter()
    broken: Counter[str] = Counter()

    def play(case: tuple[str, str, str]) -> None:
        if time.monotonic() > until:
            return
        problems = one(*case)
        played[case[0]] += 1
        if problems:
            broken[case[0]] += 1
            print(f"{' '.join(case)}: {'; '.join(problems)[:300]}", flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(play, product))
    print(f"\nseed {seed}: {sum(played.values())} of {len(product)} attacks, {sum(broken.values())} broke a promise")
    for family in dict.fromkeys(case[0] for case in sorted(product)):
        print(f"{family:20} {played[family]:4} played {broken[family]:4} broken")
    return 1 if broken else 0


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack")
    parser.add_argument("--point", choices=[*NETWORK_POINTS, *USER_POINTS])
    parser.add_argument("--error", choices=list(ERRORS))
    parser.add_argument("--answer", type=Damage.parse, help="as test_answers.py prints it")
    parser.add_argument("--loop", choices=list(LOOPS), default="asyncio")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    if arguments.point is None and arguments.answer is None:
        return many(arguments.minutes, arguments.seed)
    if arguments.answer is not None:
        problems = attack_with(arguments.answer, arguments.loop)
    else:
        problems = attack(str(arguments.point), arguments.error, arguments.loop)
    print("\n".join(problems) or "every promise was kept")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""The command line: `aioproducer demo`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from aioproducer._version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0, or 1 when it failed, or 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="aioproducer", description="A Kafka producer for Python's event loops.")
    parser.add_argument("--version", action="version", version=f"aioproducer {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    _describe_demo(
        commands.add_parser(
            "demo",
            help="send records in all three ways and read them back",
            description="Sends records in all three ways to an embedded cluster (or a real one), and reads them back.",
        )
    )
    chosen = parser.parse_args(arguments)
    status: int = chosen.run(chosen)
    return status


def _describe_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--bootstrap", metavar="HOST:PORT", help="a real cluster; default: an embedded one, in-process")
    demo.add_argument("--topic", default=None, help="default: a new one")
    demo.add_argument("--loop", choices=["asyncio", "trio"], default="asyncio", help="the event loop to run on")
    demo.set_defaults(run=_run_demo)


def _run_demo(chosen: argparse.Namespace) -> int:
    from aioproducer.cli.demo import run

    return run(bootstrap=chosen.bootstrap or None, topic=chosen.topic, loop=chosen.loop)

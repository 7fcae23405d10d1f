"""The command line: `aioproducer demo` and `aioproducer dev`."""

from __future__ import annotations

import argparse
import importlib.util
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
    _describe_dev(
        commands.add_parser(
            "dev",
            help="keep a cluster running to develop against, and show what arrives",
            description="Keeps a Kafka cluster running for any client, and prints a line for each record that arrives.",
        )
    )
    chosen = parser.parse_args(arguments)
    if importlib.util.find_spec(chosen.loop) is None:
        parser.error(f"--loop {chosen.loop}: it is not installed; pip install {chosen.loop}")
    status: int = chosen.run(chosen)
    return status


def _describe_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--bootstrap", metavar="HOST:PORT", help="a real cluster; default: an embedded one, in-process")
    demo.add_argument("--topic", default=None, help="default: a new one")
    demo.add_argument("--loop", choices=["asyncio", "trio"], default="asyncio", help="the event loop to run on")
    demo.set_defaults(run=_run_demo)


def _run_demo(chosen: argparse.Namespace) -> int:
    from aioproducer._cli.demo import run

    return run(bootstrap=chosen.bootstrap or None, topic=chosen.topic, loop=chosen.loop)


def _describe_dev(dev: argparse.ArgumentParser) -> None:
    dev.add_argument("--port", type=int, default=9092, help="of the first broker; default: 9092, 0: a free one")
    dev.add_argument("--brokers", type=int, default=1, help="default: 1; their ports are in a row")
    dev.add_argument("--partitions", type=int, default=1, help="of a topic that is made by being asked for; default: 1")
    dev.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="NAME[:PARTITIONS]",
        help="a topic to begin with (embedded only)",
    )
    dev.add_argument("--tls", action="store_true", help="speak TLS; the file of the CA is printed (embedded only)")
    dev.add_argument(
        "--user",
        action="append",
        default=[],
        metavar="NAME:PASSWORD",
        help="who may log in, by PLAIN, SCRAM or a token (embedded only)",
    )
    dev.add_argument("--values", action="store_true", help="show the values too")
    dev.add_argument("--real", action="store_true", help="run a real Apache Kafka (needs Java 17 and Maven)")
    dev.add_argument("--loop", choices=["asyncio", "trio"], default="asyncio", help="the event loop to run on")
    dev.set_defaults(run=_run_dev)


def _run_dev(chosen: argparse.Namespace) -> int:
    from aioproducer._cli.dev import Wanted, run

    wanted = Wanted(
        chosen.port,
        chosen.brokers,
        chosen.partitions,
        chosen.topic,
        is_real=chosen.real,
        shows_values=chosen.values,
        has_tls=chosen.tls,
        users=chosen.user,
    )
    return run(wanted, loop=chosen.loop)

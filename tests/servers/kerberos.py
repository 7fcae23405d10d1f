"""A KDC of MIT's on loopback, all of it in one folder, and the package gssapi, which is built once.

Debian has the KDC in krb5-kdc and krb5-admin-server, and what gssapi is compiled against in libkrb5-dev. Neither root
nor a service is needed. The KDC ends when it is stopped; a shell that waits on a pipe of ours ends it if we are killed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from aioproducer.testing._kafka_node import HOST, free_ports
from tests.servers.built import built, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REALM: Final = "TEST.REALM"
GSSAPI_VERSION: Final = "1.12.0"
START_SECONDS: Final = 20
_PROGRAMS: Final = ("krb5kdc", "kdb5_util", "kadmin.local", "krb5-config", "gcc")
_PATH: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
_CLIENT: Final = """\
[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 ticket_lifetime = {lifetime}
 clockskew = {skew}
[realms]
 {realm} = {{
  kdc = {host}:{port}
 }}
[domain_realm]
 localhost = {realm}
 127.0.0.1 = {realm}
"""
_SERVER: Final = """\
[kdcdefaults]
 kdc_listen = {host}:{port}
 kdc_tcp_listen = {host}:{port}
[realms]
 {realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
  max_life = {lifetime}
  supported_enctypes = aes256-cts-hmac-sha1-96:normal
 }}
[logging]
 kdc = FILE:{folder}/kdc.log
"""


def missing_program(path: str = _PATH) -> str:
    """The first program that is not there, or the headers of Python; empty: none."""
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python.h"
    return next((program for program in _PROGRAMS if shutil.which(program, path=path) is None), "")


def gssapi_folder() -> Path:
    """A folder with the package gssapi, to be put on the path. Compiled the first time, 15 s, for all Pythons."""
    return built(f"gssapi-{GSSAPI_VERSION}-{sys.platform}-{os.uname().machine}", _build_gssapi)


def _build_gssapi(folder: Path) -> None:
    # It is called a few times for each connection: compiling it without optimizing takes a tenth of the time.
    quick = {"CFLAGS": "-O0 -g0"}
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-warn-script-location",
    ]
    run([*pip, "--target", str(folder), f"gssapi=={GSSAPI_VERSION}"], environment=quick)


class Kdc:
    """A KDC with a realm of its own.

    Args:
        services: principals that have a key nobody knows, in one keytab.
        users: principals with a keytab each.
        lifetime: of tickets, in seconds.
        skew: seconds by which clocks may differ; a ticket is good for so long after its end.
    """

    def __init__(self, services: Sequence[str], users: Sequence[str], *, lifetime: int = 600, skew: int = 300) -> None:
        self._services = services
        self._users = users
        self._temporary = tempfile.TemporaryDirectory(prefix="aioproducer-kdc-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        (self._port,) = free_ports(1)
        self._times = {"lifetime": f"{lifetime}s", "skew": skew}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> str:
        """What clients and brokers find it by: a krb5.conf."""
        return str(self.folder / "krb5.conf")

    @property
    def service_keytab(self) -> str:
        """The keytab of all services."""
        return str(self.folder / "services.keytab")

    def keytab(self, user: str) -> str:
        """The keytab of a user."""
        return str(self.folder / f"{user}.keytab")

    def environment(self) -> Mapping[str, str]:
        """What clients that know nothing else find it by; without the tickets of whoever runs the tests."""
        return {"KRB5_CONFIG": self.config, "KRB5CCNAME": f"FILE:{self.folder}/tickets"}

    def start(self) -> None:
        """Start it, with the principals it has; blocks for a fraction of a second."""
        assert self._process is None
        # `read` ends when our end of the pipe does: nobody is left behind by a process that was killed.
        command = 'krb5kdc -n -r "$1" & kdc=$!; read -r _; kill $kdc; wait $kdc'
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command, "kdc", REALM],
            env=self._own_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._accepts():
            if time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"krb5kdc did not start:\n{(self.folder / 'kdc.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; nobody answers on its port from now on."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def administer(self, *queries: str) -> None:
        """Change its database, as `kadmin.local` does."""
        for query in queries:
            run(["kadmin.local", "-r", REALM, "-q", query], environment=self._own_environment())

    def __enter__(self) -> Self:
        values = {"realm": REALM, "host": HOST, "port": self._port, "folder": self.folder, **self._times}
        (self.folder / "krb5.conf").write_text(_CLIENT.format(**values))
        (self.folder / "kdc.conf").write_text(_SERVER.format(**values))
        run(["kdb5_util", "create", "-s", "-r", REALM, "-P", "master"], environment=self._own_environment())
        for name in self._services:
            self.administer(f"addprinc -randkey {name}", f"ktadd -k {self.service_keytab} {name}")
        for name in self._users:
            self.administer(f"addprinc -randkey {name}", f"ktadd -k {self.keytab(name)} {name}")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._temporary.cleanup()

    def _own_environment(self) -> dict[str, str]:
        own = {"KRB5_CONFIG": self.config, "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"), "PATH": _PATH}
        return {**os.environ, **own}

    def _accepts(self) -> bool:
        try:
            socket.create_connection((HOST, self._port), 1).close()
        except OSError:
            return False
        return True

"""A real Kafka and a real KDC, both on loopback: tickets over SASL_PLAINTEXT and SASL_SSL, and what fails how."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest
import trustme

from aioproducer import Producer
from aioproducer.errors import AuthenticationError, BootstrapError
from aioproducer.testing import RealCluster
from tests.conftest import BACKENDS
from tests.servers import pem
from tests.servers.kerberos import REALM, Kdc, gssapi_folder, missing_program

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(missing_program() != "", reason=f"{missing_program()} is missing: `make system`"),
    pytest.mark.timeout(300),  # the first one compiles the package gssapi
]

HOST: Final = "127.0.0.1"  # what the cluster advertises: brokers are asked for by it
LISTENERS: Final = {"KERBEROS": "SASL_PLAINTEXT", "KERBEROSTLS": "SASL_SSL"}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """What is tried here is far from the event loop: one is enough but where a test says so."""
    return BACKENDS["asyncio"]


@dataclass(frozen=True, slots=True)
class Realm:
    """A cluster whose users are those of a KDC."""

    cluster: RealCluster
    kdc: Kdc
    folder: Path

    def settings(self, listener: str = "KERBEROS", **settings: Any) -> dict[str, Any]:
        """What a producer needs, but for who it is."""
        protocol = LISTENERS[listener]
        trust = {"ssl_truststore_location": str(self.folder / "ca.pem")} if protocol == "SASL_SSL" else {}
        return {
            "bootstrap_servers": self.cluster.servers(listener),
            "security_protocol": protocol,
            "sasl_mechanism": "GSSAPI",
            "linger_ms": 0,
            "max_block_ms": 30_000,
            **trust,
            **settings,
        }

    def as_user(self, user: str, listener: str = "KERBEROS", **settings: Any) -> dict[str, Any]:
        """What a producer with a keytab needs."""
        key = {"sasl_kerberos_principal": f"{user}@{REALM}", "sasl_kerberos_keytab": self.kdc.keytab(user)}
        return self.settings(listener, **{**key, **settings})


def _properties(folder: Path, kdc: Kdc) -> dict[str, str]:
    module = "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true"
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "sasl.kerberos.service.name": "kafka",
    }
    for listener in LISTENERS:
        prefix = f"listener.name.{listener.lower()}."
        properties |= {
            f"{prefix}sasl.enabled.mechanisms": "GSSAPI",
            f"{prefix}gssapi.sasl.jaas.config": (
                f'{module} keyTab="{kdc.service_keytab}" principal="kafka/{HOST}@{REALM}";'
            ),
        }
    return properties


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    folder = tmp_path_factory.mktemp("realm")
    ca = trustme.CA()
    pem.write(folder, "ca.pem", ca.cert_pem.bytes())
    pem.write(folder, "server.pem", pem.key_and_chain(ca.issue_cert("localhost", HOST)))
    with pytest.MonkeyPatch.context() as patch, Kdc([f"kafka/{HOST}"], ["alice", "bob", "carol"]) as kdc:
        patch.setattr(sys, "path", [*sys.path, str(gssapi_folder())])
        for name, value in kdc.environment().items():
            patch.setenv(name, value)
        kdc.administer("addprinc -randkey kafka/elsewhere")  # the broker does not have its key
        options = [f"-Djava.security.krb5.conf={kdc.config}"]
        with RealCluster(listeners=LISTENERS, properties=_properties(folder, kdc), java_options=options) as cluster:
            yield Realm(cluster, kdc, folder)


async def delivers(settings: dict[str, Any], count: int = 1) -> None:
    with anyio.fail_after(45):
        async with Producer(**settings) as producer:
            for _ in range(count):
                assert (await producer.send("kerberos", b"x")).offset >= 0


async def refusal(settings: dict[str, Any]) -> AuthenticationError:
    """Start; how it is refused, at once."""
    with anyio.fail_after(15), pytest.raises(AuthenticationError) as caught:
        async with Producer(**settings):
            pass
    return caught.value


def fill_cache(kdc: Kdc, path: Path) -> None:
    """What `kinit -k -c` does."""
    gssapi: Any = import_module("gssapi")
    store = {"client_keytab": kdc.keytab("alice"), "ccache": f"FILE:{path}"}
    credentials = gssapi.Credentials(usage="initiate", store=store)
    assert credentials.lifetime > 0


# ── good ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("anyio_backend", BACKENDS.values(), ids=list(BACKENDS))
async def test_a_keytab(realm: Realm) -> None:
    await delivers(realm.as_user("alice"), count=3)


async def test_over_tls(realm: Realm) -> None:
    await delivers(realm.as_user("alice", "KERBEROSTLS"))


async def test_javas_form(realm: Realm) -> None:
    jaas = (
        "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true"
        f' keyTab="{realm.kdc.keytab("alice")}" principal="alice@{REALM}" serviceName="kafka";'
    )
    await delivers(realm.settings(sasl_jaas_config=jaas))


async def test_tickets_of_kinit(realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_cache(realm.kdc, tmp_path / "tickets")
    await delivers(realm.settings(sasl_kerberos_ticket_cache=f"FILE:{tmp_path}/tickets"))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/tickets")
    await delivers(realm.settings())
    await delivers(realm.settings(sasl_kerberos_principal="alice"))


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_ticket(realm: Realm) -> None:
    error = await refusal(realm.settings())
    assert "SASL GSSAPI with" in str(error)
    assert "run kinit, or set sasl_kerberos_keytab" in str(error)


async def test_a_keytab_without_the_principal(realm: Realm) -> None:
    error = await refusal(realm.as_user("bob", sasl_kerberos_keytab=realm.kdc.keytab("alice")))
    assert f"has no key of 'bob@{REALM}'" in str(error)


async def test_a_service_that_the_kdc_does_not_know(realm: Realm) -> None:
    error = await refusal(realm.as_user("alice", sasl_kerberos_service_name="kafca"))
    assert f"Server kafca/{HOST}@{REALM} not found in Kerberos database" in str(error)
    assert "sasl_kerberos_domain_name" in str(error)


async def test_a_ticket_that_the_broker_cannot_read(realm: Realm) -> None:
    error = await refusal(realm.as_user("alice", sasl_kerberos_domain_name="elsewhere"))
    assert error.name == "SASL_AUTHENTICATION_FAILED"
    assert "did not accept the ticket for 'kafka/elsewhere'" in str(error)


async def test_a_key_that_was_changed(realm: Realm) -> None:
    await anyio.to_thread.run_sync(realm.kdc.administer, "cpw -randkey bob")
    error = await refusal(realm.as_user("bob"))
    assert "make the keytab anew" in str(error)


async def test_a_ticket_that_has_ended(realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Kdc([f"kafka/{HOST}"], ["alice"], lifetime=1, skew=1) as kdc:
        monkeypatch.setenv("KRB5_CONFIG", kdc.config)
        fill_cache(kdc, tmp_path / "tickets")
        await anyio.sleep(2.5)
        error = await refusal(realm.settings(sasl_kerberos_ticket_cache=f"FILE:{tmp_path}/tickets"))
    assert "expired" in str(error)
    assert "run kinit again" in str(error)


# ── a KDC that is down ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_start_waits_for_a_kdc_that_is_down_and_records_flow_without_one(realm: Realm) -> None:
    realm.kdc.stop()
    try:
        settings = realm.as_user("carol", max_block_ms=1_500)
        with anyio.fail_after(30), pytest.raises(BootstrapError, match="no KDC answers"):
            await Producer[bytes, bytes](**settings).start()
        producer = Producer[bytes, bytes](**realm.as_user("carol"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(producer.start)
            await anyio.sleep(0.5)
            await anyio.to_thread.run_sync(realm.kdc.start)
        realm.kdc.stop()
        began = time.monotonic()
        assert (await producer.send("kerberos", b"x")).offset >= 0
        assert time.monotonic() - began < 10
        await producer.close()
    finally:
        realm.kdc.stop()
        realm.kdc.start()

"""The settings that docs/security.md has for each cloud load, and are what the hints of a failed start ask for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from aioproducer import ProducerConfig
from aioproducer._config.clouds import SERVICES, hints_for
from aioproducer._secret import Secret
from tests.docs.snippets import ROOT
from tests.unit._net.test_tls_context import chain_of, key_of, pem
from tests.unit._net.tls_peers import certificates

_PAGE: Final = (ROOT / "docs" / "security.md").read_text("utf-8")
SECTIONS: Final[dict[str, str]] = {
    title: text
    for title, text in re.findall(
        r"^### (.+?)\n(.*?)(?=^##)", _PAGE.partition("## Clouds\n")[2], re.DOTALL | re.MULTILINE
    )
    if "```properties" in text
}
CONNECTION_STRING: Final = "Endpoint=sb://demo.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=made-up"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What stands for /etc/kafka/."""
    alice = certificates().client
    (tmp_path / "ca.pem").write_text(pem(certificates().ca.cert_pem))
    (tmp_path / "service.cert").write_text(chain_of(alice))
    (tmp_path / "service.key").write_text(key_of(alice))
    (tmp_path / "service.key").chmod(0o600)
    return tmp_path


def test_each_service_with_hints_has_a_section() -> None:
    assert len(SECTIONS) == 9
    assert {service.name.removesuffix(" Serverless") for service in SERVICES} <= {
        title.partition(" with ")[0] for title in SECTIONS
    }


@pytest.mark.parametrize("title", SECTIONS)
def test_the_settings_of_a_cloud_load_and_need_no_hint(title: str, folder: Path) -> None:
    block = re.search(r"```properties\n(.*?)```", SECTIONS[title], re.DOTALL)
    assert block is not None
    file = folder / "kafka.properties"
    file.write_text(block[1].replace("/etc/kafka/", f"{folder}/"), "utf-8")
    assert "password" not in block[1]
    beside: dict[str, Any] = {}
    if "sasl.username" in block[1]:
        beside["sasl_password"] = Secret(CONNECTION_STRING if "servicebus" in block[1] else "made-up")
    config = ProducerConfig.from_file(file, **beside)
    assert config.security_protocol.endswith("SSL")
    assert config.warnings == ()
    assert hints_for(config) == []
    assert "ot tried by us" in SECTIONS[title]

"""Where AWS's keys come from."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aioproducer.errors import ConfigurationError, KafkaError
from aioproducer.sasl._sigv4 import AwsCredentials
from aioproducer.security._aws_sources import (
    AwsBotocore,
    AwsChain,
    AwsContainer,
    AwsEnvironment,
    AwsInstanceMetadata,
    AwsProfile,
    AwsWebIdentity,
)
from tests.unit.sasl.canary import CANARY
from tests.unit.security.async_errors import error_when_awaited
from tests.unit.security.http_server import Answer, Server, answer_json

if TYPE_CHECKING:
    from pathlib import Path

EXPIRES_MS = 1_893_456_000_000  # 2030-01-01T00:00:00Z
KEYS = AwsCredentials("AKID", "secret", "token", expires_at_ms=EXPIRES_MS)
KEYS_JSON = answer_json(
    {"AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "token", "Expiration": "2030-01-01T00:00:00Z"}
)


@pytest.fixture(autouse=True)
def nobody_is_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


async def test_the_environment_has_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await AwsEnvironment()() is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    assert await AwsEnvironment()() is None
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert await AwsEnvironment()() == AwsCredentials("AKID", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert await AwsEnvironment()() == AwsCredentials("AKID", "secret", "token")


FILE = f"""
# a comment
[default]
aws_access_key_id = AKID
aws_secret_access_key = %secret=;#
[dev]
aws_access_key_id=AKDEV
aws_secret_access_key=dev-secret
aws_session_token=token
[role]
role_arn = arn
other = {CANARY}
"""


async def test_a_profile_has_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text(FILE)
    assert await AwsProfile(path=path)() == AwsCredentials("AKID", "%secret=;#")
    assert await AwsProfile("dev", path)() == AwsCredentials("AKDEV", "dev-secret", "token")
    assert await AwsProfile("missing", path)() is None
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_PROFILE", "dev")
    assert await AwsProfile()() == AwsCredentials("AKDEV", "dev-secret", "token")


async def test_the_file_is_at_home_unless_it_is_said_where(tmp_path: Path) -> None:
    assert await AwsProfile()() is None
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(FILE)
    assert await AwsProfile()() == AwsCredentials("AKID", "%secret=;#")


async def test_a_profile_without_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text(FILE)
    error = await error_when_awaited(AwsProfile("role", path)())
    assert "profile 'role'" in str(error)
    assert "use AwsBotocore" in str(error)


@pytest.mark.parametrize("text", [CANARY, f"[a]\n{CANARY}", f"[{CANARY}", f"[a]\n[{CANARY}\n = 1"])
async def test_what_is_no_credentials_file_is_not_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials"
    path.write_text(text)
    del text
    error = await error_when_awaited(AwsProfile(path=path)())
    assert "is not a credentials file" in str(error)


async def test_a_container_asks_its_agent(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert await AwsContainer()() is None
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/keys?x=1")
    server.answer(KEYS_JSON)
    assert await AwsContainer()() == KEYS
    assert server.asked[0].path == "/keys?x=1"
    assert "Authorization" not in server.asked[0].headers
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer a")
    await AwsContainer()()
    assert server.asked[1].headers["Authorization"] == "Bearer a"
    (tmp_path / "token").write_text("Bearer b\n")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    await AwsContainer()()
    assert server.asked[2].headers["Authorization"] == "Bearer b"


async def test_a_container_gives_its_token_to_no_other_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", CANARY)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/")
    error = await error_when_awaited(AwsContainer()())
    assert isinstance(error, ConfigurationError)
    assert "http to example.com" in str(error)


IDENTITY = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult><Credentials>
    <AccessKeyId>AKID</AccessKeyId> <SecretAccessKey>secret</SecretAccessKey>
    <SessionToken>token</SessionToken> <Expiration>2030-01-01T00:00:00Z</Expiration>
  </Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


async def test_a_web_identity_becomes_a_session(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = AwsWebIdentity(sts_url=server.url)
    assert await source() is None
    (tmp_path / "token").write_text("the/token+\n")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    assert await source() is None
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/x")
    server.answer(Answer(200, IDENTITY.encode()))
    assert await source() == KEYS
    assert server.asked[0].form == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::1:role/x",
        "RoleSessionName": "aioproducer",
        "WebIdentityToken": "the/token+",
    }
    monkeypatch.setenv("AWS_ROLE_SESSION_NAME", "mine")
    await source()
    assert server.asked[1].form["RoleSessionName"] == "mine"


async def test_a_web_identity_may_be_given(server: Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    server.answer(Answer(200, IDENTITY.encode()))
    source = AwsWebIdentity(role_arn="r", token_file=tmp_path / "token", session_name="s", sts_url=server.url)
    assert await source() == KEYS
    assert server.asked[0].form["RoleSessionName"] == "s"


async def test_a_web_identity_needs_a_region(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(CANARY)
    error = await error_when_awaited(AwsWebIdentity(role_arn="r", token_file=tmp_path / "token")())
    assert isinstance(error, ConfigurationError)
    assert "AWS_REGION" in str(error)


async def test_a_web_identity_that_is_refused_shows_no_token(server: Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(CANARY)
    server.answer(Answer(400, b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>"))
    source = AwsWebIdentity(role_arn="r", token_file=tmp_path / "token", sts_url=server.url)
    error = await error_when_awaited(source())
    assert not error.retriable
    assert "HTTP 400" in str(error)


async def test_an_answer_without_keys_is_not_shown(server: Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(CANARY)
    server.answer(Answer(200, f"<SecretAccessKey>{CANARY}</SecretAccessKey>".encode()))
    source = AwsWebIdentity(role_arn="r", token_file=tmp_path / "token", sts_url=server.url)
    error = await error_when_awaited(source())
    assert "without AccessKeyId" in str(error)


ROLES = "/latest/meta-data/iam/security-credentials/"


def instance(server: Server, **answers: Answer) -> AwsInstanceMetadata:
    server.by_path = {
        "/latest/api/token": Answer(200, b"session"),
        ROLES: answers.get("roles", Answer(200, b"my-role\n")),
        f"{ROLES}my-role": answers.get("keys", KEYS_JSON),
    }
    return AwsInstanceMetadata(server.url)


async def test_an_instance_has_a_role(server: Server) -> None:
    assert await instance(server)() == KEYS
    assert [asked.method for asked in server.asked] == ["PUT", "GET", "GET"]
    headers = [{name.lower(): text for name, text in asked.headers.items()} for asked in server.asked]
    assert headers[0]["x-aws-ec2-metadata-token-ttl-seconds"] == "300"
    assert headers[1]["x-aws-ec2-metadata-token"] == headers[2]["x-aws-ec2-metadata-token"] == "session"


async def test_an_instance_without_role_has_no_keys(server: Server) -> None:
    assert await instance(server, roles=Answer(404))() is None


@pytest.mark.parametrize("role", [b"", b"../../etc", b"a b", b"\xff", b"a\nb"])
async def test_what_is_no_role_is_not_asked_for(server: Server, role: bytes) -> None:
    await error_when_awaited(instance(server, roles=Answer(200, role))())
    assert len(server.asked) == 2


async def test_keys_that_are_none_are_not_shown(server: Server) -> None:
    source = instance(server, keys=answer_json({"Code": "Success", "SecretAccessKey": CANARY}))
    error = await error_when_awaited(source())
    assert error.retriable


async def test_an_instance_that_does_not_answer_is_given_up(server: Server) -> None:
    server.answer(Answer(200, b"session", hangs_after=1))
    source = AwsInstanceMetadata(server.url, timeout=0.02)
    with pytest.raises(KafkaError, match=r"within 0.02 s") as caught:
        await source()
    assert caught.value.retriable


class Frozen:
    access_key = "AKID"
    secret_key = "secret"
    token = None


class Session:
    """What botocore's session does here."""

    made = 0

    def __init__(self, profile: str | None) -> None:
        Session.made += 1
        self.profile = profile

    def get_credentials(self) -> Any:
        if self.profile == "missing":
            return None
        if self.profile == "broken":
            raise ZeroDivisionError(CANARY[:6])
        return self

    def get_frozen_credentials(self) -> Any:
        return Frozen


@pytest.fixture
def botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("botocore.session", None))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vars(module)["Session"] = Session
    monkeypatch.setitem(sys.modules, "botocore.session", module)


@pytest.mark.usefixtures("botocore")
async def test_botocore_is_asked_and_its_session_kept() -> None:
    source = AwsBotocore("dev")
    before = Session.made
    assert await source() == AwsCredentials("AKID", "secret") == await source()
    assert Session.made == before + 1


@pytest.mark.usefixtures("botocore")
async def test_what_botocore_raises_is_the_cause() -> None:
    assert await AwsBotocore("missing")() is None
    error = await error_when_awaited(AwsBotocore("broken")())
    assert str(error) == "botocore raised ZeroDivisionError"
    assert isinstance(error.__cause__, ZeroDivisionError)


async def test_botocore_itself_finds_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert await AwsBotocore()() == AwsCredentials("AKID", "secret")


def test_without_botocore_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(ConfigurationError, match="pip install 'aioproducer"):
        AwsBotocore()


async def test_the_first_that_is_set_up_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def source(name: str, found: AwsCredentials | None) -> Any:
        async def ask() -> AwsCredentials | None:
            asked.append(name)
            return found

        return ask

    first, second = AwsCredentials("1", "s"), AwsCredentials("2", "s")
    assert await AwsChain(source("a", None), source("b", first), source("c", second))() is first
    assert asked == ["a", "b"]
    assert await AwsChain(source("a", None))() is None
    assert await AwsChain()() is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert await AwsChain()() == AwsCredentials("AKID", "secret")


async def test_one_that_fails_ends_the_search(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(json.dumps({}))
    error = await error_when_awaited(AwsChain(AwsProfile(path=tmp_path / "credentials"), AwsEnvironment())())
    assert "credentials file" in str(error)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="instance metadata service is not an address"):
        AwsInstanceMetadata("169.254.169.254")

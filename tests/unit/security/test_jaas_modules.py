"""The login modules of sasl.jaas.config."""

from __future__ import annotations

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._jaas_modules import (
    IamLogin,
    KerberosLogin,
    Login,
    OAuthLogin,
    PlainLogin,
    ScramLogin,
    read_jaas,
)
from tests.unit.sasl.canary import CANARY, assert_hidden, error_of

READ: list[tuple[str, str, Login]] = [
    (
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=alice password='p w';",
        "PLAIN",
        PlainLogin("alice", Secret("p w")),
    ),
    (
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=alice password=p;",
        "SCRAM-SHA-512",
        ScramLogin("alice", Secret("p")),
    ),
    (
        "shaded.org.apache.kafka.common.security.scram.ScramLoginModule required username=i password=h tokenauth=true;",
        "SCRAM-SHA-256",
        ScramLogin("i", Secret("h"), is_delegation_token=True),
    ),
    (
        (
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId=id clientSecret=s"
            " scope=k extension_logicalCluster='lkc-1' extension_identityPoolId='pool-1';"
        ),
        "OAUTHBEARER",
        OAuthLogin("id", Secret("s"), "k", extensions={"logicalCluster": "lkc-1", "identityPoolId": "pool-1"}),
    ),
    (
        (
            "OAuthBearerLoginModule required oauth.client.id=id oauth.client.secret=s oauth.scope=k"
            " oauth.token.endpoint.uri='https://a/';"
        ),
        "OAUTHBEARER",
        OAuthLogin("id", Secret("s"), "k", token_endpoint_url="https://a/"),
    ),
    (
        "OAuthBearerLoginModule required oauth.access.token=t;",
        "OAUTHBEARER",
        OAuthLogin(access_token=Secret("t")),
    ),
    (
        (
            "OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=alice unsecuredLoginLifetimeSeconds='60'"
            " unsecuredLoginExtension_a=b;"
        ),
        "OAUTHBEARER",
        OAuthLogin(extensions={"a": "b"}, unsecured={"StringClaim_sub": "alice", "LifetimeSeconds": "60"}),
    ),
    (
        (
            "software.amazon.msk.auth.iam.IAMLoginModule required awsProfileName=dev awsRoleArn='arn:aws:iam::1:role/x'"
            " awsRoleSessionName=s awsStsRegion='eu-west-1';"
        ),
        "AWS_MSK_IAM",
        IamLogin("dev", "arn:aws:iam::1:role/x", "s", None, "eu-west-1"),
    ),
    (
        (
            "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true keyTab='/k' principal='p@R'"
            " serviceName=kafka;"
        ),
        "GSSAPI",
        KerberosLogin("/k", "p@R", "kafka"),
    ),
    (
        "com.sun.security.auth.module.Krb5LoginModule required useTicketCache=true ticketCache='/c';",
        "GSSAPI",
        KerberosLogin(ticket_cache="/c", use_ticket_cache=True),
    ),
]


@pytest.mark.parametrize(("config", "mechanism", "login"), READ)
def test_a_module_is_read(config: str, mechanism: str, login: Login) -> None:
    found = read_jaas(config, mechanism)
    assert found.login == login
    assert mechanism in found.mechanisms
    assert found.ignored == ()
    assert read_jaas(config).login == login


def test_options_without_meaning_are_told_by_name_and_unknown_ones_by_number() -> None:
    config = f"Krb5LoginModule required storeKey=true {CANARY}=x doNotPrompt=true;"
    found = read_jaas(config)
    assert found.ignored == ("storeKey", "option 2", "doNotPrompt")
    assert_hidden(repr(found))


def test_what_is_read_hides_its_secrets() -> None:
    options = f"clientId=id clientSecret='{CANARY}' oauth.access.token='{CANARY}'"
    assert_hidden(repr(read_jaas(f"OAuthBearerLoginModule required {options};")))


BAD = {
    f"PlainLoginModule required password='{CANARY}';": "PlainLoginModule needs the option username",
    "PlainLoginModule required username=alice;": "PlainLoginModule needs the option password",
    "ScramLoginModule required username=alice password='';": "ScramLoginModule needs the option password",
    f"PlainLoginModule required username=a password='{CANARY}' user_a='{CANARY}';": "the broker's list of users",
    f"com.sun.security.auth.module.JndiLoginModule required user.provider.url='{CANARY}';": "unknown login module",
}


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_is_wrong_is_told_without_values(number: int) -> None:
    error = error_of(lambda: read_jaas(list(BAD)[number]))
    assert isinstance(error, ConfigurationError)
    assert list(BAD.values())[number] in str(error)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "GSSAPI", "plain"])
def test_the_module_has_to_fit_the_mechanism(mechanism: str) -> None:
    with pytest.raises(ConfigurationError, match=f"PlainLoginModule is for PLAIN, and sasl.mechanism is '{mechanism}'"):
        read_jaas("PlainLoginModule required username=a password=b;", mechanism)

"""The addresses that credentials are fetched from."""

from __future__ import annotations

import pytest

from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.security._urls import metadata_url, service_url
from tests.unit.sasl.canary import CANARY, assert_hidden


@pytest.mark.parametrize(
    ("text", "host", "port", "target", "authority"),
    [
        ("https://Login.Example.com", "login.example.com", 443, "/", "login.example.com"),
        ("https://a/b?c=d", "a", 443, "/b?c=d", "a"),
        ("https://a:8443/b#fragment", "a", 8443, "/b", "a:8443"),
        ("http://localhost/", "localhost", 80, "/", "localhost"),
        ("http://127.0.0.1:8080/x", "127.0.0.1", 8080, "/x", "127.0.0.1:8080"),
        ("http://[::1]:81/", "::1", 81, "/", "[::1]:81"),
        ("https://a?b=c", "a", 443, "/?b=c", "a"),
    ],
)
def test_an_address_is_taken_apart(text: str, host: str, port: int, target: str, authority: str) -> None:
    url = service_url("url", text)
    assert (url.host, url.port, url.target, url.authority) == (host, port, target, authority)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "login.example.com",
        "ftp://a/",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://a:b/",
        "https://a b/",
        "https://a/\r\nX: y",
        "https://[::1/",
        "https://a:99999/",
        "https://é/",
        "HTTPS//a",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="url is not an address"):
        service_url("url", text)


def test_plain_http_is_for_this_host_unless_allowed() -> None:
    with pytest.raises(ConfigurationError, match="is not https"):
        service_url("url", "http://login.example.com/")
    assert not service_url("url", "http://login.example.com/", allow_plain_http=True).is_https


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "169.254.170.2"])
def test_link_local_addresses_are_for_the_providers_of_clouds(host: str) -> None:
    with pytest.raises(ConfigurationError, match="link-local"):
        service_url("url", f"https://{host}/", allow_plain_http=True)
    assert metadata_url("url", f"http://{host}/").is_metadata_service


def test_credentials_do_not_go_into_an_address() -> None:
    with pytest.raises(ConfigurationError, match="user name in it") as caught:
        service_url("url", f"https://user:{CANARY}@a/")
    assert_hidden(str(caught.value))


def test_the_query_is_not_shown() -> None:
    url = service_url("url", f"https://a/b?code={CANARY}")
    assert url.shown == "https://a/b"
    assert_hidden(repr(url))


def test_proxies_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert service_url("url", "https://a/").proxy() is None
    monkeypatch.setenv("https_proxy", f"http://user:{CANARY}%21@proxy:3128")
    monkeypatch.setenv("no_proxy", "b")
    proxy = service_url("url", "https://a/").proxy()
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.credentials) == ("proxy", 3128, Secret(f"user:{CANARY}!"))
    assert_hidden(repr(proxy))
    assert_hidden(repr(proxy.authorization()))
    assert service_url("url", "https://b/").proxy() is None
    assert service_url("url", "http://localhost/").proxy() is None
    assert metadata_url("url", "https://a/").proxy() is None


@pytest.mark.parametrize(
    ("text", "address"), [("proxy", ("proxy", 80)), ("http://proxy:1", ("proxy", 1)), ("socks5://proxy:1", None)]
)
def test_proxies_of_other_kinds_are_not_used(
    monkeypatch: pytest.MonkeyPatch, text: str, address: tuple[str, int] | None
) -> None:
    monkeypatch.setenv("https_proxy", text)
    proxy = service_url("url", "https://a/").proxy()
    assert (None if proxy is None else (proxy.host, proxy.port)) == address
    assert proxy is None or proxy.authorization() == {}

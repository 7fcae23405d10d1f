"""_net/ciphers.py."""

from __future__ import annotations

import ssl

import pytest

from aioproducer._net.ciphers import CipherError, openssl_ciphers


@pytest.mark.parametrize(
    ("iana", "openssl"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"),
        ("TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", "DHE-RSA-AES256-SHA256"),
        ("HIGH:!aNULL", None),
    ],
)
def test_the_ianas_names_are_translated(iana: str, openssl: str | None) -> None:
    if openssl is None:
        with pytest.raises(CipherError):
            openssl_ciphers([iana])
        return
    assert openssl_ciphers([iana]) == [openssl]
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(openssl)


def test_openssls_names_stay_and_those_of_tls_1_3_are_left_out() -> None:
    assert openssl_ciphers(["ECDHE+AESGCM", "TLS_AES_256_GCM_SHA384"]) == ["ECDHE+AESGCM"]


def test_an_unknown_name_is_not_shown() -> None:
    with pytest.raises(CipherError, match="neither") as caught:
        openssl_ciphers(["TLS_secret"])
    assert "secret" not in str(caught.value)

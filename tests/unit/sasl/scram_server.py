"""The broker's side of SCRAM, as far as tests need one."""

from __future__ import annotations

import base64
from typing import Final

from aioproducer._secret import Secret
from aioproducer.sasl._scram_keys import Derivation, client_proof, server_signature

SALT: Final = b"pepper and salt"
SERVER_NONCE: Final = "3rfcNHYJY1ZVvWVs7j"


class ScramServer:
    """Answers one client; `logged_in` says whether its proof was right."""

    def __init__(self, hash_name: str, password: str, iterations: int = 4096) -> None:
        self._hash_name = hash_name
        self._iterations = iterations
        self._keys = Derivation(hash_name, Secret(password), SALT, iterations).derive()
        self._client_first_bare = b""
        self._server_first = b""
        self.logged_in = False

    def first(self, client_first: bytes) -> bytes:
        header, _, self._client_first_bare = client_first.partition(b"n,,")
        assert not header
        nonce = self._client_first_bare.split(b",")[1]
        salt = base64.b64encode(SALT).decode()
        self._server_first = nonce + f"{SERVER_NONCE},s={salt},i={self._iterations}".encode()
        return self._server_first

    def last(self, client_final: bytes) -> bytes:
        without_proof, _, proof = client_final.rpartition(b",p=")
        signed = b",".join((self._client_first_bare, self._server_first, without_proof))
        self.logged_in = base64.b64decode(proof) == client_proof(self._hash_name, self._keys, signed)
        return b"v=" + base64.b64encode(server_signature(self._hash_name, self._keys, signed))

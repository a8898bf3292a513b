"""A passkey's device, in software: it makes ES256 keys and answers as WebAuthn Level 2 says, honestly or not."""

import base64
import hashlib
import json
import os
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

ORIGIN = "http://localhost:8000"


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Authenticator:
    """One passkey. `count` is what its device says: 0 always, for one that does not count."""

    def __init__(self, *, counts: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential = os.urandom(32)
        self.counts, self.count = counts, 0

    def made(self, challenge: str, *, origin: str = ORIGIN, site: str = "localhost") -> str:
        """What a browser gives for a new passkey."""
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        held = bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + cbor2.dumps(cose)
        data = self._data(site, flags=0x41) + held
        attested = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._said("webauthn.create", challenge, origin, {"attestationObject": text(attested)})

    def answer(self, challenge: str, *, origin: str = ORIGIN, site: str = "localhost", flags: int = 0x01, by: Any = None) -> str:
        """What a browser gives for a passkey that was asked; `by`: another key than its own."""
        if self.counts:
            self.count += 1
        data = self._data(site, flags=flags)
        said = self._client("webauthn.get", challenge, origin)
        signature = (by or self.key).sign(data + hashlib.sha256(said).digest(), ec.ECDSA(SHA256()))
        return self._said("webauthn.get", challenge, origin, {"authenticatorData": text(data), "signature": text(signature)})

    def _data(self, site: str, *, flags: int) -> bytes:
        return hashlib.sha256(site.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    @staticmethod
    def _client(kind: str, challenge: str, origin: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()

    def _said(self, kind: str, challenge: str, origin: str, response: dict[str, str]) -> str:
        said = {"clientDataJSON": text(self._client(kind, challenge, origin)), **response}
        return json.dumps(
            {
                "id": text(self.credential),
                "rawId": text(self.credential),
                "type": "public-key",
                "response": said,
                "clientExtensionResults": {},
            }
        )

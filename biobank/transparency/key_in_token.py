"""The log's key in a security module: PKCS#11, Ed25519 (CKM_EDDSA). The private half never leaves the module.

In place of a private key the key file then holds two lines: where the key is, as a PKCS#11 URI (RFC 7512), and its public half::

    pkcs11:token=bank;id=%5F…?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin
    bank.example/custody+830b7f45+AQOhB7/…

So a log can be opened while its module is away: signing waits, nothing else. A module that was pulled out, restarted or has lost
its sessions is asked anew at the next signature. What it signs is checked before it is used. Needs ``biobank[pkcs11]``.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from biobank.transparency.note import MalformedKey, Signature, Verifier

URI: Final = "pkcs11:"
LABEL: Final = "biobank log key"

_EDWARDS25519: Final = bytes.fromhex("06032b6570")
"""The curve's name, DER: the object identifier 1.3.101.112 of RFC 8410."""
_PRINTABLE_CURVE: Final = b"\x13\x0cedwards25519"
"""The same as PKCS#11 3.0 writes it too."""

_T = TypeVar("_T")


class TokenAway(OSError):
    """The security module did not sign: it is not there, its PIN is refused, or the key is not in it. Never names the PIN."""


@dataclass(frozen=True)
class Place:
    """Which token of which module, and the file that holds its PIN."""

    module: Path
    token: str
    pin_file: Path

    def generate(self, name: str) -> TokenSigner:
        """Make a new key in the token, which never leaves it. Raises TokenAway."""
        made = secrets.token_bytes(16)
        return TokenSigner(self, made, Verifier(name, opened(self).ask(lambda session: _generated(session, made))))

    def take(self, name: str, key_id: bytes) -> TokenSigner:
        """Take the Ed25519 key with this id, which is in the token already. Raises TokenAway."""
        return TokenSigner(self, key_id, Verifier(name, opened(self).ask(lambda session: _public_half(session, key_id))))


@dataclass(frozen=True)
class TokenSigner:
    """A key in a token: signs as a key in a file does."""

    place: Place
    key_id: bytes
    verifier: Verifier

    @property
    def name(self) -> str:
        """The key's name."""
        return self.verifier.name

    def sign(self, text: bytes) -> Signature:
        """Sign a note's text. Raises TokenAway, also when what the token signed is not by this key."""
        signature = opened(self.place).ask(lambda session: _signature(session, self.key_id, text))
        if not self.verifier.verify(text, signature):
            raise TokenAway(f"the key in the token {self.place.token} is not the one whose public half stands in the key file")
        return Signature(self.name, self.verifier.key_id, signature)

    def destroy(self) -> None:
        """Destroy both halves in the token. Raises TokenAway."""
        opened(self.place).ask(lambda session: _destroyed(session, self.key_id))

    def to_skey(self) -> str:
        """Return what the key file holds: no secret, but whoever changes it decides which module is asked."""
        place = f"module-path={quote(str(self.place.module))}&pin-source=file:{quote(str(self.place.pin_file))}"
        key_id = "".join(f"%{byte:02X}" for byte in self.key_id)
        return f"{URI}token={quote(self.place.token, safe='')};id={key_id}?{place}\n{self.verifier.to_vkey()}"

    @staticmethod
    def is_told_by(text: str) -> bool:
        """Say whether a key file speaks of a token."""
        return text.startswith(URI)

    @classmethod
    def from_text(cls, text: str) -> TokenSigner:
        """Read a key file. The module is not asked. Raises MalformedKey."""
        where, _, public = text.strip().partition("\n")
        path, _, query = where.removeprefix(URI).partition("?")
        named = {key: unquote_to_bytes(value) for key, _, value in (part.partition("=") for part in path.split(";"))}
        asked = dict(parse_qsl(query))
        pin = asked.get("pin-source", "")
        if set(named) != {"token", "id"} or set(asked) != {"module-path", "pin-source"} or not pin.startswith("file:"):
            raise MalformedKey("the first line is pkcs11:token=…;id=…?module-path=…&pin-source=file:…")
        place = Place(Path(asked["module-path"]), named["token"].decode(), Path(pin.removeprefix("file:")))
        return cls(place, named["id"], Verifier.from_vkey(public))


@dataclass
class _Opened:
    """One token of a process: a session that is opened at the first question, and again after a fault."""

    place: Place
    session: Any = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, question: Callable[[Any], _T]) -> _T:
        """Answer a question to the token; once more in a new session, because the old one may have ended unseen."""
        try:
            import pkcs11
        except ImportError as exc:
            raise TokenAway("this installation reads no security modules; install biobank[pkcs11]") from exc
        with self.lock:
            for last in (False, True):
                try:
                    self.session = self.session or self._open(pkcs11)
                    return question(self.session)
                except (pkcs11.PKCS11Error, RuntimeError) as exc:
                    self._close(pkcs11)
                    if last:
                        fault = type(exc).__name__
                        raise TokenAway(
                            f"the security module with the token {self.place.token} does not answer: {fault}"
                        ) from exc
        raise AssertionError("unreachable")

    def _open(self, pkcs11: Any) -> Any:
        pin = self.place.pin_file.read_text(encoding="utf-8").strip()
        token = pkcs11.lib(str(self.place.module)).get_token(token_label=self.place.token)
        return token.open(rw=True, user_pin=pin)

    def _close(self, pkcs11: Any) -> None:
        """Forget the session, and have the library look for its tokens anew."""
        session, self.session = self.session, None
        if session is not None:
            with suppress(pkcs11.PKCS11Error):
                session.close()
        with suppress(pkcs11.PKCS11Error, RuntimeError):
            pkcs11.lib(str(self.place.module)).reinitialize()


@cache
def opened(place: Place) -> _Opened:
    """Return the one connection of this process to a token."""
    return _Opened(place)


def _generated(session: Any, key_id: bytes) -> bytes:
    from pkcs11 import Attribute, KeyType, Mechanism

    curve = session.create_domain_parameters(KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _EDWARDS25519}, local=True)
    private = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
    curve.generate_keypair(
        mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=LABEL, id=key_id, private_template=private
    )
    return _public_half(session, key_id)


def _public_half(session: Any, key_id: bytes) -> bytes:
    from pkcs11 import Attribute, ObjectClass

    key = session.get_key(object_class=ObjectClass.PUBLIC_KEY, id=key_id)
    point = bytes(key[Attribute.EC_POINT])
    if bytes(key[Attribute.EC_PARAMS]) not in (_EDWARDS25519, _PRINTABLE_CURVE) or len(point.removeprefix(b"\x04\x20")) != 32:
        raise TokenAway("the key with this id is not one of Ed25519")
    return point.removeprefix(b"\x04\x20")


def _signature(session: Any, key_id: bytes, text: bytes) -> bytes:
    from pkcs11 import Mechanism, ObjectClass

    return bytes(session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=key_id).sign(text, mechanism=Mechanism.EDDSA))


def _destroyed(session: Any, key_id: bytes) -> None:
    from pkcs11 import ObjectClass

    for half in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
        session.get_key(object_class=half, id=key_id).destroy()

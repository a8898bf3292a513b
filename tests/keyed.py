"""A bank whose people came to their logins as in life, so that each signs with a key of their own."""

from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth import one_time
from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.identity import load_actor_of
from biobank.auth.permissions import Role
from biobank.people.bootstrap import set_up_user
from tests.conftest import Api, Client

PASSWORD = "a long river of lamps"


class Owner(Client):
    """A client that signs with its owner's password."""

    password = PASSWORD


PEOPLE = {
    "adam": RoleGrant(Role.ADMIN, None),
    "quinn": RoleGrant(Role.QUALITY, None),
    "quade": RoleGrant(Role.QUALITY, None),
    "tess": RoleGrant(Role.LAB_TECH, "LAB"),
}


class Keyed:
    """The people by name: their codes and clients. The seeded logins, which nobody enrolled, are shut."""

    def __init__(self, api: Api, **more: RoleGrant) -> None:
        self.api, self.bank = api, api.test_bank
        self.codes: dict[str, str] = {}
        self.clients: dict[str, Client] = {}
        self.bank.write(lambda s: s.execute(text("UPDATE app_user SET active = false")))
        everybody = PEOPLE | more
        for name, grant in everybody.items():
            code = one_time.new_code()
            self.codes[name] = self.made(name, grant, code)
            self.codes[f"{name}'s code"] = code
        for name in everybody:
            self.enrol(name, self.codes[f"{name}'s code"])

    def made(self, name: str, grant: RoleGrant, code: str) -> str:
        """Make a login as the console does."""
        act = Act.system(self.bank.bank, path="test")
        fields: dict[str, Any] = {"username": name, "printed_name": name.title(), "grants": [grant], "one_time_code": code}
        return str(self.bank.write(lambda s: set_up_user(s, act, **fields)))

    def enrol(self, name: str, code: str, password: str = PASSWORD) -> Client:
        """Let somebody choose a password with their one-time code, and sign in with it."""
        first = self.sign_in(name, code)
        answer = first.post("/auth/password", json={"password": code, "new_password": password})
        assert answer.status_code == 204, answer.text
        self.clients[name] = self.sign_in(name, password)
        return self.clients[name]

    def sign_in(self, name: str, password: str) -> Client:
        """Return a client of a login."""
        form = {"username": name, "password": password}
        answer = httpx.post(f"{self.api.url}/api/v1/auth/token", data=form, timeout=60)
        assert answer.status_code == 200, answer.text
        header = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return Owner(base_url=f"{self.api.url}/api/v1", headers=header, timeout=60)

    def actor(self, name: str) -> Actor:
        """Somebody, as their requests would be read."""
        code = self.codes[name]
        return self.bank.write(lambda s: load_actor_of(s, code))  # type: ignore[no-any-return]

    def act(self, name: str) -> Act:
        """An act of somebody outside a request: what whoever holds the application's database login can pretend."""
        return Act.of(self.actor(name), self.bank.bank, path="test")

    def close(self) -> None:
        """Close every client."""
        for client in self.clients.values():
            client.close()


def key_of(session: Session, code: str) -> bytes:
    """The public key in force of a login."""
    found = session.execute(
        text("SELECT public FROM personal_key WHERE user_code = :code AND ended_at IS NULL"), {"code": code}
    ).scalar_one()
    return bytes(found)


def any_id() -> str:
    """The id of a signature that nobody gave."""
    return str(uuid4())

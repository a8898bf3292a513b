"""What `biobank demo` writes for others to read: a contract that programs outside this repository rely on."""

import json
import stat
from pathlib import Path

from biobank.auth.permissions import Role
from biobank.demo.command import write_answer
from biobank.demo.people import PEOPLE


def test_demo_json_names_the_address_and_one_login_per_role(tmp_path: Path) -> None:
    passwords = {username: f"secret-of-{username}" for username in PEOPLE}
    (tmp_path / "demo.json").write_text(json.dumps({"passwords": passwords}))

    write_answer(tmp_path, "http://127.0.0.1:8000")

    said = json.loads((tmp_path / "demo.json").read_text())
    assert said["url"] == "http://127.0.0.1:8000"
    assert set(said["logins"]) == {role.value for role in Role}
    for role, login in said["logins"].items():
        assert set(login) == {"username", "password"}
        assert login["password"] == passwords[login["username"]]
        assert PEOPLE[login["username"]][1][0].role.value == role
    # Acts of two people need a second person: of the roles that have one, under a key of its own.
    assert set(said["second_logins"]) == {"lab_tech", "clinician", "quality"}
    assert not {one["username"] for one in said["logins"].values()} & {one["username"] for one in said["second_logins"].values()}
    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600

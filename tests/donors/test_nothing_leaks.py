"""After a whole story the planted words stand nowhere outside the vault's ciphertext: not in a table, an event, an attempt,
an answer kept for replay, a log line or the server's own log, and not as a hash that can be guessed back.
"""

import hashlib
import logging
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from biobank.acts.act import act_hash
from tests.conftest import Api
from tests.donors.stories import MARY, STATED, band, consent, erased_by_two, half, identified, register
from tests.factories import make_harvest

PLANTED = (
    "quillfeather",
    "marýa",
    "ørsted",
    "1961-07-23",
    "778-1234",
    "7781234",
    # The telephone, as typed and as digits. Four digits of it would be found in process ids and hashes by chance.
    "7946 0123",
    "79460123",
    "zephyrine",
    "brightwater",
    "zebedee",
    "hesitant",
)
"""Words of the story, lower case, in the spellings that are sent and in those they are normalised to."""


def whole_story(api: Api) -> str:
    """Register, search, identify, mistake, marry, move, consent, erase; with refusals on the way."""
    donor = register(api.clinician, comment="A hesitant patient.")
    register(api.clinician, given_names="Marýa")
    api.clinician.post("/donors/search", json={"name": "Quillfeather", "date_of_birth": "1961-07-23"})
    api.clinician.get("/donors/search?name=x")
    api.clinician.get(f"/donors/{donor}/identity", headers={"Idempotency-Key": "reading"})
    consent(api.clinician, donor, "representative", representative="Zebedee Quillfeather")
    consent(api.clinician, donor, "Zebedee")
    identified(api, donor, "bedside")
    band(api, donor)
    half(api.clinician, donor, stated=STATED | {"name": {"family_name": "Brightwater"}}, comment="She seemed hesitant.")
    api.clinician.patch(f"/donors/{donor}", json={"family_name": "Brightwater", "reason": "marriage"})
    api.clinician.patch(f"/donors/{donor}", json={"family_name": "Brightwater", "contact": {"address": "Zephyrine Row 8"}})
    api.clinician.post("/donors", json=MARY | {"Quillfeather": 1})
    api.lab_tech.post("/donors", json=MARY)
    api.test_bank.write(lambda s: make_harvest(s, donor))
    erased_by_two(api, donor)
    return donor


def everything_in(dsn: str) -> dict[str, bytes]:
    """Every row of every table, as lower-case text and as the bytes of its binary columns."""
    found: dict[str, bytes] = {}
    with psycopg.connect(dsn) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))).fetchall()
            found[name] = b"\n".join(_bytes(value) for row in rows for value in row)
    return found


def _bytes(value: Any) -> bytes:
    plain = value if isinstance(value, bytes) else str(value).encode()
    return plain + b"\n" + plain.decode("utf-8", "replace").lower().encode()


def words_in(content: bytes) -> list[str]:
    forms = {word: (word.encode(), word.encode().hex().encode(), ascii(word)[1:-1].encode()) for word in PLANTED}
    return [word for word, spellings in forms.items() if any(s in content for s in spellings)]


def test_the_words_of_a_story_stand_nowhere_outside_the_vault(
    api: Api, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    whole_story(api)

    tables = everything_in(api.test_bank.dsn("owner"))
    assert {"event", "attempt", "idempotency", "vault_document", "donor_index", "identification"} <= set(tables)
    assert all(tables[name] for name in ("event", "attempt", "idempotency", "vault_document", "donor_index"))
    assert {name: words_in(content) for name, content in tables.items() if words_in(content)} == {}
    out, err = capfd.readouterr()
    said = "\n".join([r.getMessage() for r in caplog.records if r.name.split(".")[0] not in {"httpx", "httpcore"}] + [out, err])
    assert words_in(said.lower().encode()) == []


def test_the_search_for_planted_words_would_find_them(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute("CREATE TABLE leak (a text, b bytea)")
        connection.execute("INSERT INTO leak VALUES ('x', %s), ('MARÝA', NULL)", (b"Quillfeather",))
    assert words_in(everything_in(api.test_bank.dsn("owner"))["leak"]) == ["quillfeather", "marýa"]


def test_the_server_of_the_database_logs_none_of_them(api: Api) -> None:
    whole_story(api)
    with psycopg.connect(api.test_bank.dsn("owner"), autocommit=True) as connection:
        (folder,) = connection.execute("SELECT current_setting('data_directory')").fetchone() or ("",)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")

    said = (Path(folder).parent / "server.log").read_bytes()

    assert b"division by zero" in said, "this log would show an error"
    assert words_in(said.lower()) == []


def test_the_hash_kept_of_a_request_cannot_be_guessed_back_to_the_person(api: Api) -> None:
    donor = register(api.clinician)
    half(api.clinician, donor)

    rows = everything_in(api.test_bank.dsn("owner"))["idempotency"]
    body = {"purpose": "wristband", "stated": STATED, "document_kind": "passport"}
    for guess in (
        act_hash("POST", "/api/v1/donors", MARY),
        act_hash("POST", f"/api/v1/donors/{donor}/identifications", body),
        hashlib.sha256(MARY["date_of_birth"].encode()).digest(),
    ):
        assert guess not in rows


def test_no_answer_to_a_refusal_repeats_what_was_sent(api: Api) -> None:
    donor = register(api.clinician)

    answers = [
        half(api.clinician, donor, stated=STATED | {"date_of_birth": "1971-07-23"}, checked=True),
        half(api.clinician, donor, stated=STATED | {"name": {"family_name": "Zebedee"}}),
        consent(api.clinician, donor, "banking", representative="Zebedee"),
        api.lab_tech.post("/donors", json=MARY),
        api.clinician.post("/donors", json=MARY | {"family_name": 7}),
        api.clinician.post("/donors", json=MARY | {"date_of_birth": "1961-07-23T"}),
        api.clinician.post("/donors/search", json={"name": "Zebedee\x00"}),
    ]

    assert all(answer.status_code >= 400 for answer in answers)
    assert [words_in(answer.text.lower().encode()) for answer in answers] == [[]] * len(answers)

"""Importing on a page: file sent, columns explained, first rows looked at, the whole checked and imported in the background."""

import csv
import html
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from biobank.importing import service
from biobank.jobs.running import JOB_KINDS, run_next
from tests.conftest import Api
from tests.granting import also
from tests.pages.visitor import BROWSER, Visitor

GERMAN = Path(__file__).parent / "fixtures" / "klinik.csv"
PERSONAL = "Lüdenscheidt"
SAID = {"issuer": "KLINIK", "clinic_site": "CLINIC", "bank_site": "LAB"}
MEANT = {
    "w": "female",
    "m": "male",
    "eingelagert": "stored",
    "verworfen": "gone",
    "ADSC": "adsc",
    "Haarfollikel": "intact_follicles",
}


class _Values(HTMLParser):
    """What a browser would send of a page's fields, and the label of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self._select: str | None = None
        self._label: str | None = None
        self.feed(next(part for part in page.split("<form")[1:] if 'action="/imports/' in part.split(">")[0]).split("</form>")[0])

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        name = said.get("name") or ""
        if tag == "input" and (said.get("type") != "checkbox" or "checked" in said):
            self.values[name] = said.get("value") or ""
        elif tag == "select":
            self._select = name
            self.values[name] = ""
        elif tag == "option" and self._select and "selected" in said:
            self.values[self._select] = said.get("value") or ""
        elif tag == "label":
            self._label = (said.get("for") or "").removeprefix("f-")

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        elif tag == "label":
            self._label = None

    @override
    def handle_data(self, data: str) -> None:
        if self._label is not None:
            self.labels[self._label] = self.labels.get(self._label, "") + data.strip()


def edited(page: str) -> dict[str, str]:
    """What a person of the clinic does with the form: says what only they know."""
    shown = _Values(page)
    fields = shown.values | SAID
    for name, label in shown.labels.items():
        word = re.search("“([^”]+)”", label)
        if word is None:
            continue
        if word[1] in MEANT:
            fields[name] = MEANT[word[1]]
        elif name.startswith("unit-"):
            fields[name] = "cells" if word[1] == "Mio. Zellen" else "follicles"
        elif name.startswith("factor-"):
            fields[name] = "1000000" if word[1] == "Mio. Zellen" else "1"
    return {name: value for name, value in fields.items() if name not in ("q", "")}


@pytest.fixture
def visitor(api: Api) -> Iterator[Visitor]:
    """A login that looks after the tanks, works at the bench and may register the clinic's people."""
    also(api, "admin", "lab_tech", "LAB")
    with Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60) as one:
        one.log_in("admin")
        yield one


def sent(visitor: Visitor, data: bytes, name: str = "klinik.csv") -> Any:
    return visitor.submit("/imports/new", {}, files={"file": (name, data, "text/csv")})


def checked(visitor: Visitor) -> Any:
    """Send the clinic's file, explain it, and ask for the check of the whole."""
    page = sent(visitor, GERMAN.read_bytes())
    tried = visitor.post(page.url.path, data=edited(page.text))
    assert tried.status_code == 200, tried.text
    assert "Check the whole file" in tried.text
    return visitor.post(page.url.path, data=edited(tried.text) | {"whole": "yes"})


def counts(page: str) -> dict[str, int]:
    return {html.unescape(k).strip(): int(v) for k, v in re.findall(r"<dt>([^<]+)</dt>\s*<dd[^>]*>(\d+)<", page)}


def test_the_spreadsheet_of_a_german_clinic_is_drafted_edited_checked_and_imported(api: Api, visitor: Visitor) -> None:
    also(api, "admin", "clinician", "CLINIC")
    page = sent(visitor, GERMAN.read_bytes())
    unsaid = visitor.post(page.url.path, data={k: v for k, v in _Values(page.text).values.items() if k not in ("q", "")})
    tried = visitor.post(page.url.path, data=edited(page.text))

    assert unsaid.status_code == 422, unsaid.text[-2500:]
    assert "Say what “w” means" not in unsaid.text and "Say a site." in unsaid.text
    assert "does not read as {tank}/{rack}/{box}/{position}" in html.unescape(tried.text)
    assert "Müller-Lüdenscheidt, Jürgen, " in html.unescape(tried.text)
    assert "FK-2019-0001: " in tried.text and "7500000 cells" in tried.text and "T1 / R2 / B3 / H7" in tried.text
    asked = checked(visitor)
    assert asked.url.path.startswith("/jobs/")
    assert run_next(api.test_bank.bank, JOB_KINDS)
    ready = visitor.get_page(asked.url.path)
    assert counts(ready) == {"Ready to import": 3, "Not live, left in the old file": 1, "Cannot be taken": 2}
    before = visitor.get(f"{asked.url.path}/file").text
    assert "refused" in before and PERSONAL not in before

    path = re.findall(r'action="(/imports/checked/[^"]+)"', ready)[0]
    begun = visitor.submit(path, {}, draw=asked.url.path)
    assert run_next(api.test_bank.bank, JOB_KINDS)
    done = visitor.get_page(begun.url.path)

    assert counts(done) == {"Imported": 3, "Not live, left in the old file": 1, "Cannot be taken": 2}
    rows = list(csv.DictReader(io.StringIO(visitor.get(f"{begun.url.path}/file").content.decode("utf-8-sig"))))
    codes = [row["code"] for row in rows if row["outcome"] == "imported"]
    tube = api.lab_tech.get(f"/specimens/{codes[0]}").json()
    assert (tube["custody"]["state"], tube["custody"]["amount"], tube["aliases"][0]["value"]) == (
        "stored",
        7_500_000,
        "FK-2019-0001",
    )
    history = api.lab_tech.get(f"/specimens/{codes[0]}/custody").json()["items"]
    assert history[0]["source"] == "import"
    assert (
        visitor.get(page.url.path.replace(page.url.path, re.findall(r'href="(/imports/[0-9a-f]+)', ready)[0])).status_code == 404
    )


def test_an_import_whose_worker_was_killed_goes_on_and_brings_nothing_in_twice(
    api: Api, visitor: Visitor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    also(api, "admin", "clinician", "CLINIC")
    asked = checked(visitor)
    assert run_next(api.test_bank.bank, JOB_KINDS)
    path = re.findall(r'action="(/imports/checked/[^"]+)"', visitor.get_page(asked.url.path))[0]
    begun = visitor.submit(path, {}, draw=asked.url.path)
    monkeypatch.setattr(service, "TUBES_AT_ONCE", 1)
    real, calls = service.import_rows, []

    def dies(*given: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("killed")
        return real(*given, **more)

    with monkeypatch.context() as broken:
        broken.setattr(service, "import_rows", dies)
        assert run_next(api.test_bank.bank, JOB_KINDS)
    assert run_next(api.test_bank.bank, JOB_KINDS)

    printed = "".join(capsys.readouterr())
    assert "RuntimeError: killed" in printed and PERSONAL not in printed
    done = counts(visitor.get_page(begun.url.path))
    assert (done["Here already"], done["Imported"]) == (2, 1)
    assert len(api.lab_tech.get("/specimens").json()["items"]) == 3


def test_who_lacks_a_right_may_check_and_not_import(api: Api, visitor: Visitor) -> None:
    asked = checked(visitor)
    assert run_next(api.test_bank.bank, JOB_KINDS)
    path = re.findall(r'action="(/imports/checked/[^"]+)"', visitor.get_page(asked.url.path))[0]

    refused = visitor.submit(path, {}, draw=asked.url.path)

    assert refused.status_code == 403 and "register donors" in refused.text
    assert api.lab_tech.get("/specimens").json()["items"] == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not empty"),
        (b"%PDF-1.7 x", "cannot be read"),
        (b"PK\x03\x04 cut off", "cannot be read"),
        (b"a;b\n1;2\n", "No sheet has a line of headings"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(visitor: Visitor, data: bytes, words: str) -> None:
    refused = sent(visitor, data)

    assert refused.status_code == 422 and words in refused.text


def test_a_file_is_for_the_one_who_sent_it_and_the_page_for_those_who_look_after_storage(api: Api, visitor: Visitor) -> None:
    also(api, "north_tech", "admin", "NORTH")
    path = sent(visitor, GERMAN.read_bytes()).url.path
    for name, status in (("north_tech", 404), ("lab_tech", 403)):
        with Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60) as other:
            other.log_in(name)
            assert other.get(path).status_code == status


def test_a_file_whose_check_has_not_ended_is_not_imported(visitor: Visitor) -> None:
    asked = checked(visitor)
    token = _Values(visitor.get_page("/imports/new")).values

    refused = visitor.post(asked.url.path.replace("/jobs/", "/imports/checked/"), data=token)

    assert refused.status_code == 409 and "import_not_checked" in refused.text

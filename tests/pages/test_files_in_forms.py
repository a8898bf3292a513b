"""Nobody types a hash: whatever member of a form names a kept file takes the file itself, and who may read it finds it again."""

import html
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from biobank.custody.schemas import EventRequest, direct_events, request_model
from biobank.foundation.kept_files import FileHash, file_members, names_file
from biobank.pages.ui.act_pages import ActPage
from biobank.pages.ui.forms import fields_of
from biobank.quality.stored_files import is_about
from biobank.registries.routes import PAGES
from tests import seed
from tests.conftest import Api, TestBank
from tests.pages.visitor import Visit, Visitor
from tests.quality.test_disposal import ship
from tests.withdrawals.stories import a_story

HASH = "0" * 64


def act_pages() -> Iterator[ActPage[Any, Any]]:
    """Every page that is declared as an `ActPage`, from what the routes close over."""
    for route in PAGES.routes:
        for cell in getattr(getattr(route, "endpoint", None), "__closure__", None) or ():
            if isinstance(cell.cell_contents, ActPage):
                yield cell.cell_contents


def takes_a_hash(info: FieldInfo) -> bool:
    """Say whether a member takes 64 digits and nothing shorter, alone or in a list."""
    annotation: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    kind: TypeAdapter[Any] = TypeAdapter(annotation)

    def takes(value: object) -> bool:
        try:
            kind.validate_python(value)
        except ValidationError:
            return False
        return True

    return any(takes(form(HASH)) and not takes(form(HASH[1:])) for form in (str, lambda text: [text]))


def test_no_field_of_any_form_takes_a_typed_hash() -> None:
    every = {page.address: (page.model, page.all_names) for page in act_pages()}
    for cls in direct_events():
        every[str(cls)] = (request_model(cls, EventRequest), [name for name in cls.model_fields if name != "kind"])
    assert len(every) > 80
    files = set()
    for address, (model, names) in every.items():
        for name in [name for name in names if name in model.model_fields and takes_a_hash(model.model_fields[name])]:
            (field,) = fields_of(model, name)
            assert names_file(model.model_fields[name]) and field.kind in ("file", "files"), (address, name)
            files.add(name)
    assert {"physician_acceptance", "patient_acceptance", "evidence", "donors_request", "attachments"} <= files


def test_a_member_is_known_as_a_file_by_its_type_and_not_by_its_name() -> None:
    class Named(BaseModel):
        proof: FileHash | None = None
        several: list[FileHash] = []
        leaf_sha256: Annotated[str, "a hash of something else"] = ""

    assert file_members(Named) == ["proof", "several"]
    assert [field.kind for field in fields_of(Named, "proof", "several", "leaf_sha256")] == ["file", "files", "text"]


def attached(visitor: Visitor, path: str, name: str) -> str:
    """Attach a file in the form at `path` as a browser without scripts does; return its hash, which the form has then."""
    address = next(one for one in addresses(visitor.get_page(path)) if one.endswith(f"&field={name}"))
    file = {"file": ("scan.pdf", name.encode(), "application/pdf")}
    stored = visitor.submit("/attachments/new", {}, draw=address, files=file)
    found = re.search(rf'type="hidden" name="{name}" value="([0-9a-f]{{64}})"', stored.text)
    assert stored.status_code == 200 and found is not None, stored.text[:2000]
    return found[1]


def addresses(page: str) -> list[str]:
    """Where the files of a form are kept."""
    return [html.unescape(one) for one in re.findall(r'data-keeps="([^"]+)"', page)]


def test_what_a_donor_wrote_is_kept_under_the_donors_key_and_opened_by_the_second_person(
    api: Api, bank: TestBank, visit: Visit
) -> None:
    story = a_story(api, vials=2)
    vial = story.vials[0]
    ship(api, vial)
    path = f"/specimens/{vial}/transfer-out"
    form = visit("quality").get_page(path)
    assert "SHA-256" not in form and all(f"donor={story.donor}" in one and "site=" in one for one in addresses(form))
    wish, receipt = (attached(visit("quality"), path, name) for name in ("donors_request", "evidence"))
    assert bank.write(lambda s: is_about(s, wish, story.donor) and is_about(s, receipt, story.donor))

    said = {"to": "OTHER-BANK", "reason": "donor_request", "donors_request": wish, "evidence": receipt}
    proposed = visit("quality").submit(path, said | {"password": seed.PASSWORD})
    assert "Proposed." in proposed.text, proposed.text[:3000]
    second = visit("quality2")
    (waiting,) = re.findall(r'href="(/pending/[0-9a-f-]{36})"', second.get_page("/pending"))
    shown = second.get_page(waiting)
    assert shown.count(">the file</a>") == 2 and wish not in html.unescape(re.sub(r"<[^>]*>", "", shown))
    assert second.get(f"/attachments/{wish}").content == b"donors_request"
    assert visit("other_clinician").get(f"/attachments/{wish}").status_code == 404
    done = second.submit(f"{waiting}/sign", {"password": seed.PASSWORD}, draw=waiting)
    assert "signed by two people" in done.text
    assert visit("quality").get_page(f"/specimens/{vial}").count(">the file</a>") == 2
    assert ">the file</a>" not in visit("clinician").get_page(f"/specimens/{vial}")

"""Forms drawn from request models, and what people type turned back into them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from biobank.custody.schemas import EventRequest, direct_events, request_model
from biobank.pages.ui.forms import CIRCUMSTANCES, FormFault, fields_of, parse
from biobank.pages.ui.posted import Form
from biobank.pages.ui.session import local_path
from biobank.people.schemas import SiteCreate
from biobank.registries import event_kinds
from biobank.storage.layout import LayoutPlan
from biobank.storage.schemas import ContainerCreate, RenameRequest, StoreRequest
from biobank.withdrawals.schemas import ExpandRequest, ReceiveRequest, ThawRequest
from biobank.withdrawals.steps import STEPS
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.specimens.stories import donor, svf

assert event_kinds.MODULES
LONDON = ZoneInfo("Europe/London")


def test_every_direct_event_and_every_step_has_a_form() -> None:
    for cls in direct_events():
        names = [name for name in cls.model_fields if name != "kind"]
        fields = fields_of(request_model(cls, EventRequest), *names, *CIRCUMSTANCES)
        assert [field.name for field in fields][: len(names)] == names
        assert all(field.label for field in fields)
    for page in STEPS.values():
        if page.model is ExpandRequest:
            continue  # its page is the form of a run
        assert len(fields_of(page.model, *page.names, *CIRCUMSTANCES)) == len(page.names) + len(CIRCUMSTANCES)
        asked = {name for name, info in page.model.model_fields.items() if info.is_required()}
        assert asked <= {*page.names, *page.given, "release"}, page.label


def test_what_has_no_default_is_asked_for_and_never_answered_by_an_unticked_box() -> None:
    (intact,) = fields_of(ReceiveRequest, "container_intact")
    assert (intact.kind, intact.required) == ("select", True)
    form = Form([("tubes", "AD26-0000000"), ("label_legible", "true")])
    with pytest.raises(FormFault) as fault:
        parse(ReceiveRequest, form, LONDON, "tubes", "container_intact", "label_legible")
    assert list(fault.value.fields) == ["container_intact"]


def test_degrees_are_typed_and_millidegrees_are_sent() -> None:
    for typed, sent in (("-150,5", -150_500), ("37", 37_000), ("\N{MINUS SIGN}80", -80_000)):
        form = Form(
            [
                ("tubes", "AD26-KH0KJQL DN-SQF5SS9,HF26-MC061ET"),
                ("container_intact", "true"),
                ("label_legible", "false"),
                ("temperature_mc", typed),
            ]
        )
        body = parse(ReceiveRequest, form, LONDON, "tubes", "container_intact", "label_legible", "temperature_mc")
        assert (body.temperature_mc, body.tubes, body.label_legible) == (
            sent,
            ["AD26-KH0KJQL", "DN-SQF5SS9", "HF26-MC061ET"],
            False,
        )
    for wrong in ("warm", "1.00001", "NaN", "Infinity"):
        with pytest.raises(FormFault) as fault:
            parse(
                ThawRequest,
                Form([("tube", "A1A"), ("method", "bath"), ("bath_temperature_mc", wrong)]),
                LONDON,
                "tube",
                "method",
                "bath_temperature_mc",
            )
        assert list(fault.value.fields) == ["bath_temperature_mc"] and wrong not in str(fault.value.fields)


def test_an_instant_without_a_zone_is_site_time() -> None:
    body = parse(StoreRequest, Form([("occurred_at", "2026-07-01T12:00")]), LONDON, "occurred_at")
    assert body.occurred_at == datetime(2026, 7, 1, 11, 0, tzinfo=UTC)


def test_a_password_is_taken_as_typed_and_everything_else_is_trimmed() -> None:
    form = Form([("password", " a b "), ("new_password", " c "), ("code", " AD26 "), ("empty", " ")])
    assert dict(form) == {"password": " a b ", "new_password": " c ", "code": "AD26"}


def test_only_addresses_of_our_own_are_gone_to_after_signing_in() -> None:
    own = "/specimens/AD26-0000000?x=1"
    assert local_path(own) == own
    for foreign in (
        None,
        "",
        "x",
        "//e.example",
        "/\\e.example",
        "https://e.example/",
        "/login?next=/x",
        "/a\nb",
        "/" + "a" * 600,
    ):
        assert local_path(foreign) == "/"


WORDS = ["1e999", "-1", "nan", "31.02.2026", "2026-03-29T02:30", "9" * 400, "٣", "½", "on", "\x0b", "1,5", "24:00", "0001-01-01"]
FORMS = (ContainerCreate, StoreRequest, LayoutPlan, SiteCreate, RenameRequest)


@settings(max_examples=80)
@given(st.data(), st.sampled_from(FORMS))
def test_no_form_body_makes_its_parser_stumble(data: st.DataObject, model: type[BaseModel]) -> None:
    """Any words in any fields: a request comes out, or the fields at fault are named in sentences."""
    words = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.sampled_from(WORDS))
    pairs = data.draw(st.lists(st.tuples(st.sampled_from([*model.model_fields, "other"]), words), max_size=20))
    try:
        assert parse(model, Form(pairs), ZoneInfo("Europe/Berlin"), *model.model_fields)
    except FormFault as fault:
        assert fault.fields
        assert all(fault.fields.values())


def test_a_dilution_is_typed_as_people_say_it(api: Api, visit: Visit) -> None:
    cells, tech = svf(api, donor(api)), visit("lab_tech")
    path = f"/specimens/{cells['code']}/assay"
    assert "thousandths" not in tech.get_page(path)
    typed = {
        "method": "trypan_blue",
        "live": "170",
        "dead": "30",
        "volume_nl": "400",
        "suspension_ul": "1000",
        "dilution_milli": "2",
    }
    assert "% living" in tech.submit(path, typed).text
    (measured,) = api.lab_tech.get(f"/specimens/{cells['code']}/viability").json()["measured"]
    assert (measured["dilution_milli"], measured["live_per_ml"]) == (2000, 850_000)
    assert measured["cells_per_vial"]["cells"] == 850_000

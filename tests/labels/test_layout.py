"""From template and data to a layout."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biobank.donors.markers import Evaluation
from biobank.foundation.codes import Prefix, make_code
from biobank.labels.catalogue import catalogue
from biobank.labels.data import FIELDS, LONGEST_TEXT, LabelData
from biobank.labels.geometry import RESOLUTIONS, LabelDoesNotFit, UnknownResolution
from biobank.labels.layout import Layout, TemplateUnsuitable, compose
from biobank.labels.matrix import PayloadTooLong
from biobank.labels.statements import SEE_SHEET, Region, Statement, StatementPolicy, required_statements
from biobank.labels.typeface import MIN_EM_UM, TextUnprintable
from tests.labels.samples import DONOR, HOST, sample_for

unhurried = settings(deadline=None)  # a busy machine is not a failure

VIAL = catalogue()["cryovial-25x13"]
BAG = catalogue()["cryobag-76x38"]
CAP = catalogue()["cap-9"]

statements = st.lists(
    st.builds(
        Statement,
        key=st.just("own"),
        text=st.lists(st.sampled_from(["FOR", "USE", "ONLY", "INFECTIOUS", "WARNING"]), min_size=1, max_size=9).map(" ".join),
        source=st.just("test"),
        verified=st.booleans(),
    ),
    max_size=6,
).map(tuple)


def words_of(layout: Layout) -> str:
    return " ".join(run.text for run in layout.texts)


def test_a_vial_says_what_it_holds_and_both_us_statements() -> None:
    data = sample_for(Prefix.ADIPOSE)
    for dpi in RESOLUTIONS:
        layout = compose(VIAL, data, dpi, HOST)
        said = words_of(layout)
        for text in (data.code.text, "ADSC P2 3 of 12", "bank 2026-03-04+5:30", "exp 2046-03-04+5:30", "#1240-2"):
            assert text in said
        for statement in data.statements:
            assert statement.text in said
        assert layout.printed == data.statements
        assert layout.on_sheet == ()
        assert SEE_SHEET not in said


def test_a_statement_that_does_not_fit_goes_to_the_sheet_and_the_label_says_so() -> None:
    policy = StatementPolicy(regions=frozenset(Region))
    needed = required_statements(Evaluation(positive_marker=True), policy, DONOR)
    data = replace(sample_for(Prefix.HAIR_FOLLICLE), statements=needed)
    for dpi in RESOLUTIONS:
        layout = compose(VIAL, data, dpi, HOST)
        assert layout.on_sheet
        assert SEE_SHEET in words_of(layout)
        assert layout.printed[0].text == "FOR AUTOLOGOUS USE ONLY"
        assert compose(BAG, data, dpi, HOST).on_sheet == ()


@unhurried
@given(statements, st.sampled_from([VIAL, BAG]), st.sampled_from(RESOLUTIONS))
def test_every_statement_is_on_the_label_or_on_the_sheet_and_never_cut(
    needed: tuple[Statement, ...], template: object, dpi: int
) -> None:
    assert template in (VIAL, BAG)
    chosen = VIAL if template is VIAL else BAG
    layout = compose(chosen, replace(sample_for(Prefix.ADIPOSE), statements=needed), dpi, HOST)
    assert layout.printed + layout.on_sheet == needed
    said = words_of(layout)
    assert all(statement.text in said for statement in layout.printed)
    assert (SEE_SHEET in said) == bool(layout.on_sheet)


def test_a_cap_leaves_the_statements_to_the_full_label_of_the_same_tube() -> None:
    layout = compose(CAP, sample_for(Prefix.ADIPOSE), 300, HOST)
    assert (layout.texts, layout.printed, layout.on_sheet) == ((), (), ())
    assert layout.payload == layout.code
    assert layout.version == 1
    assert layout.module_um == pytest.approx(254)


def test_statements_are_refused_on_a_label_without_room_for_any() -> None:
    box = catalogue()["box-50x25"]
    data = replace(sample_for(Prefix.CONTAINER), statements=required_statements(Evaluation(), StatementPolicy()))
    with pytest.raises(TemplateUnsuitable):
        compose(box, data, 300, HOST)


@pytest.mark.parametrize("dpi", RESOLUTIONS)
def test_a_text_shrinks_to_the_smallest_readable_size_and_is_then_refused(dpi: int) -> None:
    data = replace(sample_for(Prefix.ADIPOSE), expires_on=None, unit_number=None, passage=None)
    sizes: list[int] = []

    def lengthen() -> None:
        for length in range(1, 60):
            layout = compose(VIAL, replace(data, material="M" * length), dpi, HOST)
            sizes.append(next(run.em_dots for run in layout.texts if run.text.startswith("M")))

    with pytest.raises(LabelDoesNotFit, match="material") as refused:
        lengthen()
    assert "MMMM" not in refused.value.detail
    assert len(sizes) > 5
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] * 25_400 / dpi >= MIN_EM_UM


def test_rows_without_content_are_left_out() -> None:
    layout = compose(VIAL, LabelData(code=make_code("HF", 2026, 1)), 300, HOST)
    assert [run.text for run in layout.texts] == [make_code("HF", 2026, 1).text]


def test_a_template_is_refused_for_another_kind_of_code() -> None:
    with pytest.raises(TemplateUnsuitable, match="DN"):
        compose(VIAL, LabelData(code=DONOR), 300, HOST)


def test_a_resolution_the_template_is_not_drawn_for_is_refused() -> None:
    fine = replace(VIAL, resolutions=(300, 600))
    with pytest.raises(UnknownResolution, match="not drawn for 203"):
        compose(fine, sample_for(Prefix.ADIPOSE), 203, HOST)
    with pytest.raises(UnknownResolution):
        compose(VIAL, sample_for(Prefix.ADIPOSE), 150, HOST)


def test_a_longer_host_steps_the_symbol_up_while_it_fits_and_is_then_refused() -> None:
    data = sample_for(Prefix.ADIPOSE)
    assert compose(VIAL, data, 300, "bank.example").version == 2
    for dpi in RESOLUTIONS:
        longer = compose(VIAL, data, dpi, "labels.some-biobank.example")
        assert longer.version == 3
        assert longer.module_um >= 250
    with pytest.raises(LabelDoesNotFit, match="shorter label host"):
        compose(VIAL, data, 300, "labels.a-much-longer-name-of.some-university.example")
    with pytest.raises(PayloadTooLong):
        compose(BAG, data, 300, "x" * 220 + ".example")


def test_texts_cover_every_field_a_template_may_use() -> None:
    assert set(sample_for(Prefix.ADIPOSE).texts()) == FIELDS


def test_first_prints_and_reprints_are_told_apart() -> None:
    data = LabelData(code=make_code("HF", 2026, 1), print_serial=7)
    assert data.texts()["print"] == "#7"
    assert replace(data, copy_number=3).texts()["print"] == "#7-3"
    assert replace(data, print_serial=None).texts()["print"] == ""


def test_label_data_refuses_texts_that_could_not_be_printed() -> None:
    code = make_code("HF", 2026, 1)
    with pytest.raises(TextUnprintable):
        LabelData(code=code, title="細胞")
    with pytest.raises(TextUnprintable):
        LabelData(code=code, title="x" * (LONGEST_TEXT + 1))
    with pytest.raises(TextUnprintable):
        LabelData(code=code, statements=(Statement("own", "a\nb", "test", verified=True),))


def test_dates_are_printed_year_first() -> None:
    data = LabelData(code=make_code("HF", 2026, 1), banked_on=date(2026, 3, 4), expires_on=date(2046, 7, 31))
    said = replace(data, zone="Europe/Vienna").texts()
    assert (data.texts()["banked"], data.texts()["expires"]) == ("2026-03-04 UTC", "2046-07-31 UTC")
    assert (said["banked"], said["expires"]) == ("2026-03-04 UTC+1", "2046-07-31 UTC+2"), "of the day itself"
    assert replace(data, zone="America/St_Johns").texts()["banked"] == "2026-03-04 UTC-3:30"
    assert (data.texts()["expires_short"], said["expires_short"]) == ("2046-07-31Z", "2046-07-31+2")

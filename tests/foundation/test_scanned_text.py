"""What the way from a label to here adds to a text, and what a text is that is none of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.foundation.codes import ForeignLabel, MalformedCode, make_code, resolve_payload
from biobank.foundation.scanned_text import foreign_kind, may_stand_on_a_tube, spellings, tidy

TUBE = make_code("AD", 2026, 7)
CODE = TUBE.text
HEAD, TAIL = CODE.split("-")
ADDRESS = f"HTTPS://BANK.EXAMPLE/S/{CODE}"
FULL_WIDTH = "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in CODE)


@pytest.mark.parametrize(
    "text",
    [
        *(
            before + label
            for before in ("]Q1", "]d2", "]C0", "]Q2\\000026", "\ufeff", "ï»¿", "\u200e")
            for label in (CODE, ADDRESS)
        ),
        f"\ufeff]Q1{ADDRESS}\r\n",
        f'"{CODE}"',
        f"'{CODE}",
        f"“{ADDRESS}”",
        f"<{ADDRESS}>",
        f'="{CODE}"',
        f"{CODE}\x03",
        f"\x02{ADDRESS}\x04",
        f"{HEAD}\u200b-{TAIL}",
        f"\u202d{CODE}\u202c",
        f"{HEAD}\u00a0{TAIL}",
        f"{HEAD}\u3000{TAIL}",
        *(f"{HEAD}{hyphen}{TAIL}" for hyphen in "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u2043_"),
        FULL_WIDTH,
        CODE.lower(),
        CODE.swapcase(),
        f"{CODE}.",
        f"{CODE}/",
        f"{CODE}?x=1",
        ADDRESS.replace("BANK.EXAMPLE", "bAnK.eXaMpLe."),
        f"{ADDRESS}/?utm_source=x#top",
        f"{ADDRESS}%20",
        ADDRESS.replace("-", "%2D"),
        ADDRESS.replace("-", "%E2%80%91"),
        ADDRESS.replace(":", "%3A").replace("/", "%2F"),
        ADDRESS.replace(":", "%253A").replace("/", "%252F"),
        f"BANK.EXAMPLE/S/{CODE}",
        f"http://bank.example:80/S/{CODE}",
        f"URL:{ADDRESS}",
        # what other keyboard layouts make of the hyphen, marks around a code, control characters by their names or own
        *(f"{HEAD}{wrong}{TAIL}" for wrong in "ß'?)!/.:*°"),
        *(f"{one}{CODE}{two}" for one, two in ("**", "()", "[]", "||", ";;")),
        *(f"{CODE}{word}" for word in ("<CR>", "[CR][LF]", "{TAB}", "\\r\\n", "\\x0d", "^M", ",", "\r\n\t")),
        *(f"{word}{label}" for word in ("{GS}", "]d2<GS>", "~d029", "]C1", "]Q3\x1d", "\x1e") for label in (CODE, ADDRESS)),
        f"\x1e{CODE}\x1d\x04",
        # digits of other scripts, pictures of control characters, words of programs, marks, and addresses that lost or won a sign
        *("".join(chr(zero + int(c)) if c.isdigit() else c for c in CODE) for zero in (0x660, 0x6F0, 0x966, 0x1D7CE)),
        f"\u241d{CODE}\u240d",
        *(f"{words}{label}" for words in ("QR:", "QR-CODE: ", "data_matrix:") for label in (CODE, ADDRESS)),
        f"\u300e{CODE}\u300f",
        *(f"{HEAD}{dot}{TAIL}" for dot in "·•"),
        ADDRESS.replace("://", ":/"),
        ADDRESS.replace("://", ":"),
        ADDRESS.replace("HTTPS:", ""),
        ADDRESS.replace("EXAMPLE/", "EXAMPLE//"),
        ADDRESS.replace("/S/", "/S//"),
        *(f"{ADDRESS}{behind}" for behind in ("&utm_source=x", ";jsessionid=1", ").", "]")),
        ADDRESS.replace("-", "+"),
    ],
)
def test_what_the_way_here_added_does_not_hide_a_label(text: str) -> None:
    assert resolve_payload(text, "bank.example") == TUBE


@pytest.mark.parametrize(
    "text",
    [
        f"https://other.example/S/{CODE}",
        f"https://bank.example:80/S/{CODE}",
        f"http://other.example:80/S/{CODE}",
        f"URL:https://other.example/S/{CODE}",
        f"https://b\u0131nk.example/S/{CODE}",
        f"https://bank.example%2F@other.example/S/{CODE}",
        f"https://other.example%2F@bank.example/S/{CODE}",
        f"https%3A%2F%2Fother.example/S/{CODE}",
        f"]Q1https://bank.example:8443/S/{CODE}",
        f"/S/{CODE}",
        f"https:/other.example/S/{CODE}",
        f"QR:https://other.example/S/{CODE}",
        f"//other.example/S/{CODE}&x=bank.example",
        f"https://other.example/S/{CODE};a=https://bank.example/S/{CODE}",
    ],
)
def test_no_spelling_makes_another_host_ours(text: str) -> None:
    with pytest.raises(ForeignLabel):
        resolve_payload(text, "bank.example")


@pytest.mark.parametrize(
    "text",
    [
        CODE.replace("A", "\u0410"),
        f"{HEAD}\u0410{TAIL}",
        CODE + CODE,
        f"{CODE},{CODE}",
        f"{CODE} {CODE}",
        f"{CODE}\n{CODE}",
        f"{ADDRESS};{CODE}",
        f"{ADDRESS}&{CODE}",
        f"{ADDRESS},{CODE}",
        f"{HEAD}-{TAIL}\ufffd",
        "]Q1",
        "\ufeff",
    ],
)
def test_a_letter_of_another_alphabet_and_two_codes_are_no_code(text: str) -> None:
    with pytest.raises(MalformedCode):
        resolve_payload(text, "bank.example")


@given(st.text(max_size=80))
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)
    assert "\x00" not in "".join(spellings(text))


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40))
def test_an_identifier_is_always_one_of_its_own_spellings(text: str) -> None:
    assert text.lower() in spellings(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("4006381333931", "article number"),
        ("]E04006381333931", "article number"),
        ("96385074", "article number"),
        ("(01)04006381333931(17)270101", "article number"),
        ("0104006381333931", "article number"),
        ("https://www.maker.example/tube", "address of somebody else"),
        ("www.maker.example", "address of somebody else"),
        ("mailto:someone@clinic.example", "address of somebody else"),
        ("Erika Mustermann", "These are words"),
        ("Ärztin", "These are words"),
    ],
)
def test_what_is_not_ours_is_said_exactly(text: str, kind: str) -> None:
    said = foreign_kind(text)

    assert said is not None and kind in said
    assert "mustermann" not in said.lower()
    assert not may_stand_on_a_tube(text)


@pytest.mark.parametrize("text", ["FX0012345678", "4006381333930", "17"])
def test_what_may_stand_on_a_tube_is_not_explained_away(text: str) -> None:
    assert foreign_kind(text) is None
    assert may_stand_on_a_tube(text)


def test_a_name_with_a_birth_date_does_not_stand_on_a_tube() -> None:
    assert not may_stand_on_a_tube("Mary Smith 1980-03-01")

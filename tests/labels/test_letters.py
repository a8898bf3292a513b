"""Names on paper keep their letters, whatever their people write with; what cannot be drawn is seen, never left out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biobank.labels.letters import LACKING, LACKING_SAID, drawable
from biobank.labels.paper import Paper
from tests.labels.reading import pdf_texts

EASTERN = ["王秀英", "髙橋 さくら タロウ", "김민준"]
NAMES = [
    "Łucja Żółć-Gęślą Śmiałą",
    "Přemysl Kůň z Řeže",
    "Őrsi Tűzkő",
    "Γιώργος Παπαδόπουλος",
    "Щукина Їжакевич Ђорђе",
    "Çağrı Şimşek İnönü Iğdır",
    "Nguyễn Thị Hạnh",
    "Ģirts Ķēniņš Ūdre",
    "Þórður Æsa Ðiða",
    "გიორგი ბერიძე",
    "สมชาย ใจดี",
    *EASTERN,
]


def printed(text: str) -> str:
    paper = Paper("Names", "Names")
    paper.heading(text)
    paper.line(f"By {text}", bold=True)
    paper.paragraph(f"Handed over by {text} today.")
    paper.blank(text, "Date")
    paper.table([("Who", 200.0), ("What", 200.0)], [[text, "stored"]])
    return "".join(pdf_texts(paper.finish()))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_found_again_wherever_a_paper_writes_it(name: str) -> None:
    text = printed(name)

    assert text.count(name) == 5
    assert LACKING not in text
    assert ("the reader's own typefaces" in text) == (name in EASTERN)


@pytest.mark.parametrize("name", ["שרה כהן", "محمد", "राधा"])
def test_letters_that_cannot_be_set_are_seen_to_lack(name: str) -> None:
    text = printed(name)

    assert name not in text
    assert text.count(LACKING) >= 5 * len(name.replace(" ", ""))
    assert LACKING_SAID in text


def test_a_letter_that_came_in_two_pieces_is_one() -> None:
    assert "Zażółć" in printed("Zaz\u0307o\u0301\u0142c\u0301")


@pytest.mark.parametrize("blank", ["\u00a0", "\u202f", "\u2009", "\u3000"])
def test_a_blank_of_any_width_is_a_blank_and_lacks_nothing(blank: str) -> None:
    text = printed(f"4{blank}700{blank}000")

    assert text.count("4 700 000") == 5
    assert LACKING not in text


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_no_letter_is_ever_left_out(text: str) -> None:
    shown = drawable(text)

    assert drawable(shown) == shown
    assert not any(letter for letter in shown if not letter.isprintable())
    assert len(shown) >= 1


def test_a_long_text_of_broad_letters_ends_before_the_margin() -> None:
    import pypdfium2

    paper = Paper("Remarks", "Remarks")
    paper.paragraph("王" * 300)
    page = pypdfium2.PdfDocument(paper.finish())[0]
    right = max(page.get_textpage().get_charbox(n)[2] for n in range(page.get_textpage().count_chars()))

    assert right < page.get_width() - 20

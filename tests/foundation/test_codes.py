"""Codes: grammar, permutation, check character, addresses."""

import contextlib
import doctest
import itertools
import string
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from biobank.foundation import codes
from biobank.foundation.codes import (
    BODY_ALPHABET,
    CHECK_ALPHABET,
    DATED,
    NUMBERS,
    CheckCharacterWrong,
    Code,
    ForeignLabel,
    MalformedCode,
    Prefix,
    canonical_host,
    format_code,
    is_code,
    make_code,
    number_of,
    parse_code,
    payload_url,
    read_label,
    resolve_payload,
)

unhurried = settings(deadline=None)  # a busy machine is not a failure

HOST = "bank.example"


@st.composite
def made_codes(draw: st.DrawFn) -> Code:
    prefix = draw(st.sampled_from(Prefix))
    year = draw(st.integers(2000, 2099)) if prefix in DATED else None
    return make_code(prefix, year, draw(st.integers(0, NUMBERS - 1)))


def test_the_worked_vectors_in_the_docstring_hold() -> None:
    outcome = doctest.testmod(codes)
    assert outcome.attempted >= 5
    assert outcome.failed == 0


@unhurried
@given(st.sampled_from(Prefix), st.integers(0, 99), st.integers(0, NUMBERS - 1))
def test_every_number_comes_back_from_its_code(prefix: Prefix, year: int, number: int) -> None:
    code = make_code(prefix, year if prefix in DATED else None, number)
    assert parse_code(code.text) == code
    assert number_of(code) == number


def test_no_two_numbers_share_a_code_because_every_round_of_the_permutation_can_be_undone() -> None:
    # A Feistel network is a bijection whatever its round function is; the inverse on a dense range and on both ends
    # shows that this one is wired as such, and a set shows no collision where a bank lives for its first years.
    numbers = [*range(20_000), *range(NUMBERS - 5_000, NUMBERS)]
    made = [make_code("HF", 2026, number) for number in numbers]
    assert len({code.body for code in made}) == len(numbers)
    assert [number_of(code) for code in made] == numbers


def test_neighbouring_numbers_look_different() -> None:
    bodies = [make_code("HF", 2026, number).body for number in range(2_000)]
    same = [sum(a == b for a, b in zip(*pair, strict=True)) for pair in itertools.pairwise(bodies)]
    # Chance alone gives 6/32 equal characters a pair; counting up by one would give more than 5.
    assert sum(same) / len(same) < 0.25
    assert max(same) <= 3


def test_the_same_number_has_another_body_under_another_prefix_or_year() -> None:
    assert len({make_code(p, 2026 if p in DATED else None, 7).body for p in Prefix}) == len(Prefix)
    assert make_code("HF", 2026, 7).body != make_code("HF", 2027, 7).body


@unhurried
@given(made_codes(), st.data())
def test_every_single_wrong_character_is_refused(code: Code, data: st.DataObject) -> None:
    bare = code.head + code.tail
    place = data.draw(st.integers(0, len(bare) - 1))
    wrong = data.draw(st.sampled_from(CHECK_ALPHABET))
    spoiled = bare[:place] + wrong + bare[place + 1 :]
    assume(wrong != bare[place])
    in_body = len(code.head) <= place < len(bare) - 1
    if in_body and {"I": "1", "L": "1", "O": "0"}.get(wrong) == bare[place]:
        assert parse_code(spoiled) == code  # an alias is the same character written differently
    else:
        with pytest.raises(MalformedCode):
            parse_code(spoiled)


def test_every_single_wrong_character_is_refused_for_one_code_exhaustively() -> None:
    bare = "HF26" + parse_code(format_code("HF", 2026, 1)).tail
    spoiled = [bare[:i] + c + bare[i + 1 :] for i in range(len(bare)) for c in string.printable if c.upper() != bare[i]]
    read = [text for text in spoiled if is_code(text)]
    aliases = {"I": "1", "L": "1", "O": "0"}
    assert all(aliases.get(text.upper()[i]) == bare[i] for text in read for i in range(11) if text.upper()[i] != bare[i])
    assert read


def test_the_check_character_catches_all_substitutions_and_all_but_72_of_45360_transpositions() -> None:
    # The state machine of ISO 7064 MOD 37,36, written here a second time: a state, one character, the next state.
    def step(state: int, value: int) -> int:
        return ((state or 36) * 2 % 37 + value) % 36

    states = range(36)
    # A step is a bijection of the state for any character, and of the character for any state, so one wrong character
    # anywhere leads to another final state: no substitution escapes.
    assert all(len({step(state, value) for state in states}) == 36 for value in range(36))
    assert all(len({step(state, value) for value in range(36)}) == 36 for state in states)
    pairs = [(s, a, b) for s in states for a in range(36) for b in range(36) if a != b]
    missed = sum(step(step(s, a), b) == step(step(s, b), a) for s, a, b in pairs)
    assert (missed, len(pairs)) == (72, 45_360)


def test_swapped_neighbours_are_caught_at_the_promised_rate_over_thousands_of_codes() -> None:
    tried = escaped = 0
    for number in range(3_000):
        bare = format_code("AD", 2026, number).replace("-", "")
        for place in range(len(bare) - 1):
            if bare[place] != bare[place + 1]:
                tried += 1
                escaped += is_code(bare[:place] + bare[place + 1] + bare[place] + bare[place + 2 :])
    assert tried > 25_000
    assert escaped / tried < 0.004


@unhurried
@given(made_codes(), st.sampled_from([str.lower, str.upper]), st.sampled_from(["", "-", " - ", "\u2013", "\u2011"]))
def test_case_spaces_and_hyphens_never_matter(code: Code, case: Callable[[str], str], joint: str) -> None:
    assert parse_code(f"  {case(code.head)}{joint}{case(code.tail[:3])} {case(code.tail[3:])}\n") == code


@unhurried
@given(made_codes())
def test_crockford_aliases_are_read_in_the_body(code: Code) -> None:
    for one, zero in (("I", "O"), ("l", "o")):
        body = code.body.replace("1", one).replace("0", zero)
        assert parse_code(f"{code.head}-{body}{code.check}") == code


def test_an_alias_is_not_applied_to_the_check_character_nor_to_prefix_or_year() -> None:
    numbers = range(4_000)
    for check, alias in (("1", "I"), ("1", "L"), ("0", "O"), ("I", "1"), ("L", "1"), ("O", "0")):
        code = next(c for c in (make_code("KT", None, n) for n in numbers) if c.check == check)
        with pytest.raises(CheckCharacterWrong):
            parse_code(f"KT-{code.body}{alias}")
    tail = make_code("HF", 2020, 1).tail
    assert is_code(f"HF20-{tail}")
    assert not is_code(f"HF2O-{tail}")


def test_all_36_check_characters_occur() -> None:
    assert {make_code("KT", None, number).check for number in range(4_000)} == set(CHECK_ALPHABET)
    assert len(BODY_ALPHABET) == 32
    assert not set("ILOU") & set(BODY_ALPHABET)


@unhurried
@given(st.text(max_size=600))
@example("")
@example("HF26-MC061EŦ")
@example("hf26-mc06\u0131et")  # the dotless i is not an I
@example("HF٢٦-MC061ET")  # digits of another script are not digits
@example("HF-MC061ET")
@example("KT26-MC061ET")
@example("https://bank.example/S/%00")
@example("https://[::1/S/x")
@example("/" * 600)
def test_rubbish_is_refused_and_never_crashes(text: str) -> None:
    for read in (parse_code, lambda scanned: resolve_payload(scanned, HOST, ("old.example",))):
        with contextlib.suppress(MalformedCode, ForeignLabel):
            code = read(text)
            assert parse_code(code.text) == code


def test_a_refusal_never_repeats_what_was_scanned_because_it_may_be_a_name() -> None:
    for text in ("Erika Mustermann", "https://clinic.example/S/Erika", "https://bank.example/S/Erika"):
        with pytest.raises((MalformedCode, ForeignLabel)) as refused:
            resolve_payload(text, HOST)
        assert "erika" not in str(refused.value.problem()).lower()


def test_letters_of_other_scripts_that_become_ours_in_upper_case_are_refused() -> None:
    assert is_code("HF26-MC06IET")
    assert not is_code("HF26-MC06\u0131ET")  # the dotless i
    for code in (make_code("KT", None, number) for number in range(200)):
        assert not is_code(code.text.replace("S", "\u017f")) or "S" not in code.text  # the long s


@unhurried
@given(st.text(alphabet=CHECK_ALPHABET + "-", min_size=9, max_size=12))
def test_whatever_parses_is_written_back_as_itself(text: str) -> None:
    if is_code(text):
        code = parse_code(text)
        assert make_code(code.prefix, code.year, number_of(code)) == code


def test_stable_codes_and_statuses_of_the_refusals() -> None:
    assert (MalformedCode.code, MalformedCode.status) == ("malformed_code", 422)
    assert (CheckCharacterWrong.code, CheckCharacterWrong.status) == ("check_character_wrong", 422)
    assert (ForeignLabel.code, ForeignLabel.status) == ("foreign_label", 409)


@pytest.mark.parametrize(
    ("prefix", "year", "number"),
    [
        ("XX", None, 1),
        ("HF", None, 1),
        ("KT", 2026, 1),
        ("HF", 1999, 1),
        ("HF", 2100, 1),
        ("HF", -1, 1),
        ("KT", None, -1),
        ("KT", None, NUMBERS),
    ],
)
def test_making_a_code_out_of_range_is_an_error_of_the_caller(prefix: str, year: int | None, number: int) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        make_code(prefix, year, number)


def test_a_year_may_be_given_in_full_or_as_its_last_two_digits() -> None:
    assert format_code("HF", 2026, 5) == format_code("HF", 26, 5)
    assert make_code("HF", 2005, 5).head == "HF05"


@unhurried
@given(made_codes())
def test_a_label_address_comes_back_from_any_scanner_spelling(code: Code) -> None:
    url = payload_url(HOST, code)
    assert url == f"HTTPS://BANK.EXAMPLE/S/{code.text}"
    assert payload_url(HOST, code.text.lower()) == url
    for text in (url, url.lower(), url + "/", f" {url}\r\n", url.replace("HTTPS", "http"), url + "?utm=1", url[8:]):
        assert resolve_payload(text, HOST) == code
    assert resolve_payload(code.text, HOST) == code


def test_a_former_host_is_ours_and_an_unknown_host_is_foreign() -> None:
    code = make_code("HF", 2026, 1)
    assert resolve_payload(payload_url("old.example", code), HOST, ["old.example"]) == code
    for text in (
        payload_url("old.example", code),
        payload_url("bank.example.evil.test", code),
        f"https://bank.example@evil.test/S/{code.text}",
        f"https://bank.example:8443/S/{code.text}",
        f"https://id.gs1.org/8003/{code.text}",
        f"ftp://bank.example/S/{code.text}",
        f"/S/{code.text}",
    ):
        with pytest.raises(ForeignLabel):
            resolve_payload(text, HOST)


def test_an_address_of_ours_that_is_no_label_and_a_misread_label_are_told_apart() -> None:
    code = make_code("HF", 2026, 1)
    for path in ("", "/", "/login", f"/S/{code.text}/edit", f"/api/S/{code.text}", "/S/HF26"):
        with pytest.raises(MalformedCode):
            resolve_payload(f"https://bank.example{path}", HOST)
    with pytest.raises(CheckCharacterWrong):
        resolve_payload(f"https://bank.example/S/{code.head}-{code.body}{'A' if code.check != 'A' else 'B'}", HOST)
    with pytest.raises(MalformedCode):
        resolve_payload("LOT 12/34", HOST)


def test_hosts_are_compared_without_case_final_dot_and_default_port() -> None:
    assert {canonical_host(h) for h in ("Bank.Example", "bank.example.", "bank.example:443", "BANK.EXAMPLE.:443")} == {
        "BANK.EXAMPLE"
    }
    assert canonical_host("localhost:8000") == "LOCALHOST:8000"
    for host in ("", "https://bank.example", "bank_1.example", "bank.example/x", "b\u00e4nk.example", "a..b", "-a.b"):
        with pytest.raises(ValueError, match="bare name"):
            canonical_host(host)


@pytest.mark.parametrize("between", [" ", "\t", ""])
def test_a_well_behind_a_code_is_no_number_of_a_print(between: str) -> None:
    tube = make_code("AD", 2026, 1).text
    with pytest.raises(MalformedCode):
        read_label(f"{tube}{between}A1")


@pytest.mark.parametrize("hyphen", ["-", " ", "_", ""])
def test_a_gun_that_sends_another_hyphen_sends_it_before_the_number_of_the_print_too(hyphen: str) -> None:
    tube = make_code("AD", 2026, 1).text
    read = read_label(f"{tube}-02".replace("-", hyphen))
    assert (read.text, read.print_number) == (tube, 2)

"""Passwords: policy, hashing, and the same time for a login that does not exist."""

import base64
import hmac
import time

import pytest
from argon2.low_level import Type, hash_secret_raw
from hypothesis import given, settings
from hypothesis import strategies as st
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from biobank.auth.passwords import MINIMUM_LENGTH, WeakPassword, hash_now, require_strong, verify_now

GOOD = "slow river eleven lamps"


def reason_of(password: str, username: str = "jane.doe", unlike: str | None = None) -> str | None:
    try:
        require_strong(password, username, unlike=unlike)
    except WeakPassword as refusal:
        return str(refusal.members["reason"])
    return None


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        (GOOD, None),
        ("Größe-ist-relativ", None),
        ("4829 1840 1928 3746", None),
        ("short", "too_short"),
        ("elevenchars", "too_short"),
        ("my-name-is-Jane.Doe", "contains_username"),
        ("password1234567", "too_common"),
        ("PASSWORD!!!!!", "too_common"),
        ("passwordpassword", "too_common"),
        ("123456123456", "too_common"),
        ("Biobank-2026!", "too_common"),
        ("clinic clinic 7", "too_common"),
        ("qwertyuiop123", "too_common"),
        ("aaaaaaaaaaaaaaaa", "too_common"),
        ("correct horse battery staple", "too_common"),
    ],
)
def test_the_policy(password: str, reason: str | None) -> None:
    assert reason_of(password) == reason


@pytest.mark.parametrize(
    "password", ["a" + "bcdefg hij" * 9, "slow river eleven lamps " * 10, "river/{}/lamps/eleven", "ñandú über žlutý kůň"]
)
def test_a_long_password_of_any_characters_is_taken(password: str) -> None:
    assert reason_of(password) is None
    assert verify_now(password, hash_now(password).stored).genuine
    assert not verify_now(password[:-1], hash_now(password).stored).genuine, "nothing of it is cut off"
    assert not verify_now(password.swapcase(), hash_now(password).stored).genuine, "nor is its case"


def test_a_new_password_differs_from_the_old_one() -> None:
    assert reason_of(GOOD, unlike=GOOD) == "unchanged"
    assert reason_of(GOOD, unlike=GOOD + "s") is None


COMMON = [
    "passwort2024!",
    "passw0rd-2025",
    "P4ssword.1234",
    "letmein letmein",
    "Welcome-2026!",
    "iloveyou-1234",
    "qwertyqwerty",
    "qwertz-123456",
    "azerty-123456",
    "asdfgh-123456",
    "zxcvbn-123456",
    "abcdef-123456",
    "abcdefgh-1234",
    "administrator1",
    "changeme-12345",
    "default-123456",
    "secret-2026-10",
    "monkey monkey",
    "dragon-2026-11",
    "football-12345",
    "baseball-12345",
    "superman-12345",
    "princess-12345",
    "sunshine-12345",
    "trustno-123456",
    "Laboratory 12",
    "hospital-2026",
    "1234567890-1234567890",
    "0123456789-0123456789",
    "987654321/987654321",
    "1111-1111-1111",
    "0000.0000.0000",
    "1q2w3e4r1q2w3e4r",
    "1qaz2wsx-1qaz2wsx",
]


@pytest.mark.parametrize("password", COMMON)
def test_what_many_people_choose_is_refused(password: str) -> None:
    assert reason_of(password) == "too_common"


@given(st.text(max_size=MINIMUM_LENGTH - 1))
def test_no_short_password_passes(password: str) -> None:
    import unicodedata

    if len(unicodedata.normalize("NFKC", password)) < MINIMUM_LENGTH:
        assert reason_of(password) == "too_short"


def test_a_password_is_genuine_in_every_unicode_form_of_it() -> None:
    composed, decomposed = "Gr\u00f6\u00dfe ist relativ", "Gro\u0308\u00dfe ist relativ"

    assert verify_now(decomposed, hash_now(composed).stored).genuine


def test_four_different_characters_are_enough_and_three_are_not() -> None:
    assert reason_of("abdcabdacbdabcda") is None
    assert reason_of("abccabacbcabcbab") == "too_common"


def test_what_a_password_unlocks_is_nowhere_written_with_it() -> None:
    made = hash_now(GOOD)
    verified = verify_now(GOOD, made.stored)

    assert verified.unlocks == made.unlocks
    assert repr(made.unlocks) not in repr(made)
    assert repr(made.unlocks) not in repr(verified)


def test_the_hash_is_argon2id_with_a_salt_of_its_own() -> None:
    one, two = hash_now(GOOD).stored, hash_now(GOOD).stored

    assert one != two
    assert one.startswith("$argon2id$")


def test_an_old_hash_is_replaced_when_the_parameters_have_changed() -> None:
    old = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8192),)).hash(GOOD)

    verified = verify_now(GOOD, old)

    assert verified.genuine
    assert verified.rehashed is not None
    assert verify_now(GOOD, verified.rehashed.stored).rehashed is None
    assert verify_now("wrong", old).rehashed is None


def test_a_hash_of_a_cost_that_is_asked_no_more_is_replaced_for_its_owner_alone() -> None:
    salt = b"16 bytes of salt"
    made = hash_secret_raw(GOOD.encode(), salt, 1, 8192, 1, hash_len=32, type=Type.ID)
    kept = hmac.digest(made, b"biobank/password/v1/verify", "sha256")
    salted, half = (base64.b64encode(part).decode() for part in (salt, kept))
    cheap = f"$argon2id$v=19$m=8192,t=1,p=1${salted}${half}$split"

    verified, wrong = verify_now(GOOD, cheap), verify_now("wrong", cheap)

    assert verified.genuine
    assert verified.rehashed is not None
    assert verify_now(GOOD, verified.rehashed.stored).rehashed is None
    assert (wrong.genuine, wrong.rehashed, wrong.unlocks) == (False, None, None)


def test_a_login_that_does_not_exist_is_never_genuine() -> None:
    assert not verify_now(GOOD, None).genuine


def test_a_login_that_does_not_exist_takes_the_time_of_a_wrong_password() -> None:
    """A coarse ratio of processor time: without the dummy hash it would be about a thousand."""
    stored = hash_now(GOOD).stored
    verify_now(GOOD, None)

    def fastest(hashed: str | None) -> float:
        spent = []
        for _ in range(5):
            start = time.thread_time()
            verify_now("wrong password", hashed)
            spent.append(time.thread_time() - start)
        return min(spent)

    assert 0.25 < fastest(None) / fastest(stored) < 4


@settings(max_examples=5, deadline=None)
@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_only_the_same_password_verifies(one: str, two: str) -> None:
    import unicodedata

    same = unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", two)
    assert verify_now(two, hash_now(one).stored).genuine == same

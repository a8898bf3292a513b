"""Signed notes and checkpoints: the published example, key rotation, and everything that must not open."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.transparency.checkpoint import Checkpoint, WrongOrigin, open_checkpoint
from biobank.transparency.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    BadSignature,
    MalformedKey,
    MalformedNote,
    NoKnownSignature,
    Signer,
    Verifier,
    open_note,
    sign_note,
    split_note,
)
from biobank.transparency.tree import EMPTY_ROOT

# The key and note of the Go checksum database's documentation (golang.org/x/mod/sumdb/note): public, never deployed.
EXAMPLE_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
EXAMPLE_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
EXAMPLE_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
EXAMPLE_LINE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
OTHER_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
OTHER_LINE = "\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
EXAMPLE_NOTE = EXAMPLE_TEXT + "\n" + EXAMPLE_LINE

ORIGIN = "bank.example/custody"
LOG = Signer(ORIGIN, bytes(range(32)))
NEXT = Signer(ORIGIN, bytes(range(1, 33)))
STRANGER = Signer(ORIGIN, bytes(range(2, 34)))

texts = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=0x20) | st.just("\n"), max_size=60).map(
    lambda text: text + "\n"
)


def test_the_published_example_is_reproduced_to_the_byte() -> None:
    signer = Signer.from_skey(EXAMPLE_SKEY)
    assert signer.to_skey() == EXAMPLE_SKEY
    assert signer.verifier.to_vkey() == EXAMPLE_VKEY
    assert sign_note(EXAMPLE_TEXT, [signer]) == EXAMPLE_NOTE
    opened = open_note(EXAMPLE_NOTE, [Verifier.from_vkey(EXAMPLE_VKEY)])
    assert opened.text == EXAMPLE_TEXT
    assert [s.line() for s in opened.verified] == [EXAMPLE_LINE]


def test_a_signature_of_an_unknown_key_is_set_aside_and_counted_when_the_key_is_known() -> None:
    note = EXAMPLE_NOTE + OTHER_LINE
    first, second = Verifier.from_vkey(EXAMPLE_VKEY), Verifier.from_vkey(OTHER_VKEY)
    opened = open_note(note, [first])
    assert ([s.line() for s in opened.verified], [s.line() for s in opened.unknown]) == ([EXAMPLE_LINE], [OTHER_LINE])
    opened = open_note(note, [first, second])
    assert ([s.line() for s in opened.verified], opened.unknown) == ([EXAMPLE_LINE, OTHER_LINE], ())
    with pytest.raises(NoKnownSignature):
        open_note(note, [])


def test_repeated_lines_of_one_key_count_once() -> None:
    opened = open_note(EXAMPLE_NOTE + EXAMPLE_LINE + OTHER_LINE + OTHER_LINE, [Verifier.from_vkey(EXAMPLE_VKEY)])
    assert (len(opened.verified), len(opened.unknown)) == (1, 1)


def test_one_bad_line_of_a_known_key_spoils_the_whole_note() -> None:
    good = sign_note("text\n", [LOG, NEXT])
    other = sign_note("other text\n", [NEXT])
    spoiled = good.rsplit("\u2014", 1)[0] + "\u2014" + other.rsplit("\u2014", 1)[1]
    with pytest.raises(BadSignature):
        open_note(spoiled, [LOG.verifier, NEXT.verifier])
    assert open_note(spoiled, [LOG.verifier]).text == "text\n", "a reader who does not know the bad key is not troubled"


def test_during_a_rotation_readers_of_either_key_are_served() -> None:
    note = Checkpoint(ORIGIN, 0, EMPTY_ROOT).sign([LOG, NEXT])
    for reader in ([LOG.verifier], [NEXT.verifier], [LOG.verifier, NEXT.verifier]):
        assert open_checkpoint(note, ORIGIN, reader).size == 0
    with pytest.raises(NoKnownSignature):
        open_checkpoint(note, ORIGIN, [STRANGER.verifier])


@given(texts)
def test_every_signed_text_opens_unchanged_and_signing_is_repeatable(text: str) -> None:
    note = sign_note(text, [LOG])
    assert note == sign_note(text, [LOG])
    assert open_note(note, [LOG.verifier]).text == text
    assert open_note(note.encode(), [LOG.verifier]).text == text


@given(texts, st.data())
def test_no_single_flipped_bit_leaves_a_note_that_opens(text: str, data: st.DataObject) -> None:
    note = bytearray(sign_note(text, [LOG]).encode())
    bit = data.draw(st.integers(0, len(note) * 8 - 1))
    note[bit // 8] ^= 1 << bit % 8
    with pytest.raises((MalformedNote, BadSignature, NoKnownSignature)):
        open_note(bytes(note), [LOG.verifier])


@pytest.mark.parametrize(
    "note",
    [
        EXAMPLE_TEXT,
        EXAMPLE_TEXT + "\n",
        EXAMPLE_NOTE[:-1],
        "\x01" + EXAMPLE_NOTE,
        "\t" + EXAMPLE_NOTE,
        EXAMPLE_NOTE.replace("\n", "\r\n"),
        b"\xff" + EXAMPLE_NOTE.encode(),
        EXAMPLE_TEXT + "\n" + EXAMPLE_LINE.replace("PeterNeumann", "Bad Name"),
        EXAMPLE_TEXT + "\n" + EXAMPLE_LINE.replace("PeterNeumann", "Bad+Name"),
        EXAMPLE_TEXT + "\n" + EXAMPLE_LINE.replace("PeterNeumann", "Bad\u2003Name"),
        EXAMPLE_TEXT + "\n" + EXAMPLE_LINE.replace("\u2014", "-"),
        EXAMPLE_TEXT + "\n" + EXAMPLE_LINE.replace("=\n", "\n"),
        EXAMPLE_TEXT + "\n" + EXAMPLE_LINE.replace("AM=", "AN="),
        EXAMPLE_NOTE + "Unexpected line.\n",
        EXAMPLE_TEXT + "\n" + "\u2014 PeterNeumann " + base64.b64encode(b"1234").decode() + "\n",
        EXAMPLE_TEXT + "\n" + EXAMPLE_LINE * (MAX_SIGNATURES + 1),
        "x" * MAX_NOTE_BYTES + "\n\n" + EXAMPLE_LINE,
        "",
    ],
)
def test_what_is_not_a_signed_note_is_refused_before_any_key_is_asked(note: str | bytes) -> None:
    with pytest.raises(MalformedNote):
        split_note(note)
    with pytest.raises(MalformedNote):
        open_note(note, [Verifier.from_vkey(EXAMPLE_VKEY)])


@pytest.mark.parametrize("text", ["no newline", "", "a\tb\n", "x" * MAX_NOTE_BYTES + "\n"])
def test_a_text_that_cannot_be_a_note_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError):
        sign_note(text, [LOG])


def test_a_note_without_signers_is_not_made() -> None:
    with pytest.raises(ValueError):
        sign_note("text\n", [])


def test_two_keys_that_cannot_be_told_apart_are_an_error_of_the_reader() -> None:
    with pytest.raises(ValueError, match="share the name"):
        open_note(EXAMPLE_NOTE, [Verifier.from_vkey(EXAMPLE_VKEY), Verifier.from_vkey(EXAMPLE_VKEY)])


@pytest.mark.parametrize(("read", "key"), [(Verifier.from_vkey, EXAMPLE_VKEY), (Signer.from_skey, EXAMPLE_SKEY)])
def test_every_mangled_key_text_is_refused(read: type, key: str) -> None:
    for start in range(len(key)):
        for end in range(start + 1, len(key) + 1):
            if (start, end) != (0, len(key)):
                with pytest.raises(MalformedKey):
                    read(key[start:end])
    for at in range(len(key)):
        with pytest.raises(MalformedKey):
            read(key[:at] + chr(ord(key[at]) + 1) + key[at + 1 :])


@pytest.mark.parametrize(
    "vkey",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_a_key_of_another_length_or_algorithm_is_refused(vkey: str) -> None:
    with pytest.raises(MalformedKey):
        Verifier.from_vkey(vkey)


def test_a_private_key_never_shows_in_its_own_description() -> None:
    secret = LOG.to_skey().rsplit("+", 1)[1]
    assert secret not in repr(LOG)
    with pytest.raises(MalformedKey) as refused:
        Signer.from_skey(LOG.to_skey().replace(ORIGIN, "elsewhere"))
    assert secret not in str(refused.value)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_every_checkpoint_is_read_back_and_signed_the_same_again(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert Checkpoint.from_text(checkpoint.text()) == checkpoint
    assert open_checkpoint(checkpoint.sign([LOG]), ORIGIN, [LOG.verifier]) == checkpoint
    assert checkpoint.sign([LOG]) == checkpoint.sign([LOG])


def test_a_checkpoint_has_the_published_three_lines() -> None:
    assert Checkpoint(ORIGIN, 0, EMPTY_ROOT).text() == f"{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"


GOOD = Checkpoint(ORIGIN, 12, bytes(32)).text()


@pytest.mark.parametrize(
    "text",
    [
        GOOD[:-1],
        GOOD + "extension\n",
        GOOD + "\n",
        GOOD.replace("\n12\n", "\n012\n"),
        GOOD.replace("\n12\n", "\n+12\n"),
        GOOD.replace("\n12\n", "\n-1\n"),
        GOOD.replace("\n12\n", "\n\u0661\n"),
        GOOD.replace("\n12\n", "\n9223372036854775808\n"),
        GOOD.replace("\n12\n", "\n\n"),
        GOOD.replace("AAA=", "AAB="),
        GOOD.replace("AAA=", "AAA"),
        GOOD.replace("AAAA", "", 1),
        GOOD[len(ORIGIN) :],
        "",
    ],
)
def test_any_other_spelling_of_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedNote):
        Checkpoint.from_text(text)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    note = Checkpoint("other.example/log", 3, bytes(32)).sign([LOG])
    with pytest.raises(WrongOrigin):
        open_checkpoint(note, ORIGIN, [LOG.verifier])


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 1, bytes(32)),
        Checkpoint("a\nb", 1, bytes(32)),
        Checkpoint("a", -1, bytes(32)),
        Checkpoint("a", 1, b""),
    ],
)
def test_a_checkpoint_that_could_not_be_read_back_is_not_written(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError):
        checkpoint.text()

"""Signed notes: the published vectors, one spelling, and who must have signed."""

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LedgerInvalidError
from gateway.ledger import note
from tests.ledger.published import signer

# The keys, text and signatures that golang.org/x/mod/sumdb/note publishes in its tests.
PETER_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
PETER = note.NoteVerifier.parse(PETER_VKEY)
ENOCH = note.NoteVerifier.parse(ENOCH_VKEY)


def peter_signer() -> note.Ed25519NoteSigner:
    return note.Ed25519NoteSigner(
        "PeterNeumann", Ed25519PrivateKey.from_private_bytes(PETER_SEED).sign, PETER.public_key
    )


def message(*lines: str) -> bytes:
    return f"{TEXT}\n{''.join(lines)}".encode()


def test_signing_gives_the_published_note() -> None:
    """The published key over the published text gives the published bytes."""
    assert note.sign_note(TEXT, [peter_signer()]) == message(PETER_LINE)
    assert peter_signer().vkey == PETER_VKEY


@pytest.mark.parametrize("vkey", [PETER_VKEY, ENOCH_VKEY])
def test_a_vkey_comes_back_as_it_was(vkey: str) -> None:
    """Parsing and encoding a verifier key are inverse, with a + in the base64 too."""
    assert note.NoteVerifier.parse(vkey).vkey == vkey
    plus = next(found for seed in range(256) if (found := signer("a.example", seed).vkey).count("+") > 2)
    assert note.NoteVerifier.parse(plus).vkey == plus


def test_a_mangled_vkey_is_refused() -> None:
    """No part of a vkey, and no vkey with a character changed, is a vkey."""
    parts = {PETER_VKEY[i:j] for i in range(len(PETER_VKEY)) for j in range(i + 1, len(PETER_VKEY) + 1)}
    changed = {
        PETER_VKEY[:at] + chr(ord(character) + 1) + PETER_VKEY[at + 1 :] for at, character in enumerate(PETER_VKEY)
    }
    wrong = {
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # length of the key
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # signature type
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # upper case
        "PeterNeumann++", "", "+", "++", PETER_VKEY + "\n", " " + PETER_VKEY, "\ud800" + PETER_VKEY,
    }  # fmt: skip
    for vkey in (parts | changed | wrong) - {PETER_VKEY}:
        with pytest.raises(LedgerInvalidError):
            note.NoteVerifier.parse(vkey)


def test_unknown_signatures_are_ignored() -> None:
    """With one known key the other line is passed over, wherever it stands; with both, both are verified."""
    for lines in ((PETER_LINE, ENOCH_LINE), (ENOCH_LINE, PETER_LINE)):
        opened = note.open_note(message(*lines), [PETER])
        assert opened.text == TEXT
        assert [found.name for found in opened.signatures] == ["PeterNeumann"]
    both = note.open_note(message(PETER_LINE, ENOCH_LINE), [ENOCH, PETER])
    assert [found.line() for found in both.signatures] == [PETER_LINE, ENOCH_LINE]


@pytest.mark.parametrize("verifiers", [[], [ENOCH]])
def test_a_note_that_no_known_key_signed_is_refused(verifiers: list[note.NoteVerifier]) -> None:
    """Signatures of strangers prove nothing."""
    with pytest.raises(LedgerInvalidError):
        note.open_note(message(PETER_LINE), verifiers)


def test_a_key_of_the_same_name_is_a_stranger() -> None:
    """A signature under a trusted name but with another key is ignored, and so never enough alone."""
    impostor = signer("PeterNeumann", 9)
    forged = note.sign_note(TEXT, [impostor])
    with pytest.raises(LedgerInvalidError):
        note.open_note(forged, [PETER])
    line = forged.decode().rpartition("\n\n")[2]
    assert len(note.open_note(message(line, PETER_LINE), [PETER]).signatures) == 1


def test_a_bad_signature_of_a_known_key_refuses_the_note() -> None:
    """One good signature does not make up for a bad one of another key the reader trusts."""
    raw = bytearray(base64.b64decode(ENOCH_LINE.split(" ")[2]))
    raw[-1] ^= 1
    bad = f"— EnochRoot {base64.b64encode(raw).decode()}\n"
    short = f"— EnochRoot {base64.b64encode(raw[:-1]).decode()}\n"
    for line in (bad, short):
        note.open_note(message(PETER_LINE, line), [PETER])
        with pytest.raises(LedgerInvalidError):
            note.open_note(message(PETER_LINE, line), [PETER, ENOCH])


def test_a_known_key_signs_once() -> None:
    """Two lines of one key are more than we would write, and are refused."""
    with pytest.raises(LedgerInvalidError):
        note.open_note(message(PETER_LINE, PETER_LINE), [PETER])


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        message(PETER_LINE)[:-1],
        message(PETER_LINE) + b"\n",
        message(PETER_LINE) + b"Unexpected line.\n",
        b"\x01" + message(PETER_LINE),
        b"\xff" + message(PETER_LINE),
        message(PETER_LINE).replace(b"\n", b"\r\n"),
        message(PETER_LINE).replace(b"\n\n", b"\n"),
        message(PETER_LINE).replace("—".encode(), b"-"),
        message(PETER_LINE.replace("— ", "—")),
        message(PETER_LINE.replace("— ", "—  ")),
        message(PETER_LINE.replace("PeterNeumann ", "Peter Neumann ")),
        message(PETER_LINE.replace("PeterNeumann ", "Peter\u00a0Neumann ")),
        message(PETER_LINE.replace("PeterNeumann ", "Peter+Neumann ")),
        message(PETER_LINE.replace("PeterNeumann ", " ")),
        message(PETER_LINE.replace("=\n", "\n")),
        message(PETER_LINE.replace("AM=\n", "AN=\n")),  # the same bytes in other base64
        message(PETER_LINE.replace("/", "_", 1)),
        message(PETER_LINE.replace("\n", " \n")),
        message("— PeterNeumann x08go\n"),
        message("— PeterNeumann x08gow==\n"),
        message("— PeterNeumann \n"),
        b"",
        b"\n\n",
        PETER_LINE.encode(),
        b"\n" + PETER_LINE.encode(),
    ],
)
def test_another_spelling_of_a_note_is_refused(data: bytes) -> None:
    """Anything that would not be written like this is no note, before any key is tried."""
    with pytest.raises(LedgerInvalidError):
        note.parse_note(data)


def test_sixteen_signatures_pass_and_a_flood_does_not() -> None:
    """The specification's sixteen are accepted; a hundred and one, or a megabyte, are refused unread."""
    lines = [note.sign_note(TEXT, [signer(f"w{n}.example", n)]).decode().rpartition("\n\n")[2] for n in range(16)]
    assert note.open_note(message(*lines, PETER_LINE), [PETER]).text == TEXT
    with pytest.raises(LedgerInvalidError):
        note.open_note(message(*[PETER_LINE] * 101), [PETER])
    with pytest.raises(LedgerInvalidError):
        note.open_note(b"x" * 1_000_000 + b"\n" + message(PETER_LINE), [PETER])


def test_every_flipped_bit_is_refused() -> None:
    """No bit of a note with one signature can change without the note failing."""
    data = message(PETER_LINE)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LedgerInvalidError):
            note.open_note(bytes(flipped), [PETER])


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "\x00\n", "\r\n", "\ud800\n"])
def test_a_text_that_is_no_note_text_is_not_signed(text: str) -> None:
    """Signing refuses what opening would refuse, before the key is used."""

    def never(_message: bytes) -> bytes:
        raise AssertionError("the key was used")

    with pytest.raises(LedgerInvalidError):
        note.sign_note(text, [note.Ed25519NoteSigner("PeterNeumann", never, PETER.public_key)])


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x1fb", "\ud800", "x" * 256, "é" * 128])
def test_a_bad_key_name_is_refused(name: str) -> None:
    """Names without Unicode spaces, plus signs or control characters keep signature lines unambiguous."""
    with pytest.raises(LedgerInvalidError):
        note.NoteVerifier(name, PETER.public_key)
    with pytest.raises(LedgerInvalidError):
        note.NoteSignature(name, bytes(4), bytes(64))


def test_a_signer_that_returns_something_else_is_not_published() -> None:
    """A key agent that answers with an error text or nothing does not become a signature line."""
    broken = note.Ed25519NoteSigner("PeterNeumann", lambda _message: b"error", PETER.public_key)
    with pytest.raises(LedgerInvalidError):
        note.sign_note(TEXT, [broken])
    with pytest.raises(LedgerInvalidError):
        note.sign_note(TEXT, [])


def test_a_key_is_never_used_with_another_algorithm() -> None:
    """The type byte is part of the key; types that are not in the table are refused when configured."""
    for other in (0x00, 0x02, 0x05, 0x06, 0xFF):
        with pytest.raises(LedgerInvalidError):
            replace(PETER, type=other)
    assert replace(PETER, type=0x04).key_id != PETER.key_id
    with pytest.raises(LedgerInvalidError):
        replace(PETER, public_key=PETER.public_key[:-1])


texts = st.text(st.characters(codec="utf-8", min_codepoint=32), max_size=20)


@given(st.lists(texts, min_size=1, max_size=5), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_parsing_undoes_formatting(lines: list[str], count: int) -> None:
    """Any text, with empty lines at its end too, comes back from its note, and the note from its parts."""
    text = "".join(f"{line}\n" for line in lines)
    signers = [signer(f"key{number}.example", number) for number in range(count)]
    data = note.sign_note(text, signers)
    parsed = note.parse_note(data)
    assert parsed.text == text
    assert parsed.to_bytes() == data
    assert len(note.open_note(data, [one.verifier for one in signers]).signatures) == count

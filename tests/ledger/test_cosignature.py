"""Cosignatures against what others signed: public witnesses of transparency logs, and a log of another implementation.

`others/` holds checkpoints as public logs served them in 2026, with the lines of witnesses whose operators published their
keys; each is of a program that shares nothing with this one. `mldsa-log` is a test vector of FiloSottile/torchwood.
"""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from gateway.errors import LedgerInvalidError
from gateway.ledger.checkpoint import open_checkpoint
from gateway.ledger.cosignature import Cosigner, Quorum, read_cosignatures, witnessed_at
from gateway.ledger.note import (
    COSIGNATURE_V1,
    ED25519,
    ML_DSA_44,
    NoteSignature,
    NoteVerifier,
    UnverifiedNote,
    open_note,
    parse_note,
)
from gateway.ledger.timestamped import cosignature_v1_message, signed_at, subtree_v1_message

OTHERS = Path(__file__).parent / "others"
# Origin, size, and how many lines there are of each kind by keys that were published.
CHECKPOINTS = [
    ("arche2025h1", "arche2025h1.staging.ct.transparency.dev", 1_432_088_532, {ED25519: 1, COSIGNATURE_V1: 4}),
    (
        "coachandhorses2026h1", "coachandhorses2026h1.staging.certificate.transparency.goog", 185_550_722,
        {COSIGNATURE_V1: 1, ML_DSA_44: 1},
    ),
    ("mldsa-log", "example.com/mldsa-log", 1, {ML_DSA_44: 1}),
]  # fmt: skip


def others(name: str) -> tuple[bytes, list[NoteVerifier]]:
    keys = (OTHERS / f"{name}.vkeys").read_text().split()
    return (OTHERS / f"{name}.note").read_bytes(), [NoteVerifier.parse(vkey) for vkey in keys]


def lines_of(note: UnverifiedNote, key: NoteVerifier) -> list[NoteSignature]:
    return [one for one in note.signatures if (one.name, one.key_id) == (key.name, key.key_id)]


@pytest.mark.parametrize(("name", "origin", "size", "kinds"), CHECKPOINTS)
def test_what_public_witnesses_and_logs_signed_verifies(
    name: str, origin: str, size: int, kinds: dict[int, int]
) -> None:
    """Every line by a published key verifies in its own layout: Ed25519, cosignature/v1 and ML-DSA-44."""
    data, keys = others(name)
    note = open_note(data, keys)
    assert len(note.signatures) == sum(kinds.values())
    assert {kind: sum(key.type == kind for key in keys) for kind in kinds} == kinds
    assert note.text.split("\n")[:2] == [origin, str(size)]
    assert parse_note(data).to_bytes() == data
    own = [key for key in keys if key.name == origin]
    if own:
        assert open_checkpoint(data, origin, keys).size == size


@pytest.mark.parametrize("name", [name for name, *_ in CHECKPOINTS])
def test_no_byte_of_what_others_signed_can_change(name: str) -> None:
    """Another origin, size or root, another second or another bit of the signature: no line of any layout verifies."""
    data, keys = others(name)
    note = parse_note(data)
    origin, size, root, _ = note.text.split("\n")
    texts = [
        f"{origin}x\n{size}\n{root}\n",
        f"{origin}\n{int(size) + 1}\n{root}\n",
        f"{origin}\n{size}\n{'B' if root[0] != 'B' else 'C'}{root[1:]}\n",
    ]
    for key in keys:
        [line] = lines_of(note, key)
        for text in texts:
            with pytest.raises(LedgerInvalidError):
                key.verify(text.encode(), line.signature)
        # A second later, and the signature's last bits: of ML-DSA those are in its hint.
        for at in (7, len(line.signature) // 2, len(line.signature) - 1):
            changed = bytearray(line.signature)
            changed[at] ^= 1
            with pytest.raises(LedgerInvalidError):
                key.verify(note.text.encode(), bytes(changed))


def test_a_key_of_one_layout_verifies_nothing_of_another() -> None:
    """The same Ed25519 key as a log's and as a witness's has two ids, and neither layout passes for the other."""
    data, keys = others("arche2025h1")
    text = parse_note(data).text.encode()
    witness = next(key for key in keys if key.type == COSIGNATURE_V1)
    [line] = lines_of(parse_note(data), witness)
    plain = NoteVerifier(witness.name, witness.public_key, ED25519)
    assert plain.key_id != witness.key_id
    with pytest.raises(LedgerInvalidError):
        plain.verify(text, line.signature[8:])


def test_the_quorum_counts_names_and_the_time_is_the_latest() -> None:
    """Four public witnesses are four; the two keys of one witness are one; the time is what they put to it."""
    data, keys = others("arche2025h1")
    witnesses = tuple(key for key in keys if key.type == COSIGNATURE_V1)
    checkpoint = open_checkpoint(data, keys[0].name, keys)
    assert len(Quorum(witnesses, 4).require(checkpoint)) == 4
    assert witnessed_at(checkpoint, witnesses) == 1_779_573_024
    data, keys = others("coachandhorses2026h1")
    assert Quorum(tuple(keys), 1).among(parse_note(data).signatures) == {"witness.navigli.sunlight.geomys.org"}
    with pytest.raises(LedgerInvalidError):
        Quorum(tuple(keys), 2)


def test_a_log_may_sign_without_a_time_and_a_witness_may_not() -> None:
    """tlog-cosignature lets an ML-DSA-44 key leave the time out (zero): good for a log's own line, nothing for a quorum."""
    data, [key] = others("mldsa-log")
    note = parse_note(data)
    assert signed_at(note.signatures[0].signature) == 0
    assert open_checkpoint(data, key.name, [key]).size == 1
    assert Quorum((key,), 1).among(note.signatures) == frozenset()
    with pytest.raises(LedgerInvalidError, match="when it was made"):
        read_cosignatures(note.signatures[0].line().encode(), note.text, key)


def test_the_messages_are_the_specified_bytes() -> None:
    """The example of tlog-cosignature, written out: two lines before the note, and the structure of a whole tree."""
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    assert cosignature_v1_message(text, 1_679_315_147) == b"cosignature/v1\ntime 1679315147\n" + text.encode()
    assert (
        subtree_v1_message("witness.example.com/w1", text, 1_679_315_147).hex()
        == (
            "737562747265652f76310a00"  # subtree/v1, newline, zero
            "16" + b"witness.example.com/w1".hex() + "000000006418" + "50cb"  # name, time
            "1b" + b"example.com/behind-the-sofa".hex() + "0000000000000000"  # origin, start
            "00000000013e2dc3" + "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"  # end, root
        )
    )


def test_an_extension_line_that_nothing_signed_is_refused() -> None:
    """An ML-DSA-44 line covers origin, size and root alone: a line slipped in below them must not pass as the log's."""
    data, [key] = others("mldsa-log")
    head, empty, lines = data.partition(b"\n\n")
    with pytest.raises(LedgerInvalidError, match="extension"):
        open_checkpoint(head + b"\nslipped in" + empty + lines, key.name, [key])


@pytest.mark.parametrize("kind", [COSIGNATURE_V1, ML_DSA_44])
def test_our_own_lines_have_the_form_of_theirs(kind: int) -> None:
    """A line made here has name, key id, time and signature where a public witness's has them, and verifies."""
    note = parse_note(others("coachandhorses2026h1")[0])
    theirs = next(key for key in others("coachandhorses2026h1")[1] if key.type == kind)
    key = Ed25519PrivateKey.generate() if kind == COSIGNATURE_V1 else MLDSA44PrivateKey.generate()
    cosigner = Cosigner(NoteVerifier(theirs.name, key.public_key().public_bytes_raw(), kind), key.sign)
    line = cosigner.cosign(note.text, 1_785_704_691)
    cosigner.verifier.verify(note.text.encode(), line.signature)
    [other] = lines_of(note, theirs)
    assert len(line.signature) == len(other.signature)
    assert line.line().split(" ")[:2] == other.line().split(" ")[:2]
    assert signed_at(line.signature) == signed_at(other.signature) == 1_785_704_691
    with pytest.raises(LedgerInvalidError):
        cosigner.cosign(note.text, 0)

"""An outside verifier, PyPI `aics-tlog`, reads what is published here: it accepts an honest ledger and no other.

It shares no code with this project. It needs Python 3.12: `make referee` says how to run this file with one.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import LedgerInvalidError
from gateway.ledger import tiles
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.checkpoint import sign_checkpoint as sign
from gateway.ledger.cosignature import Cosigner, Quorum, Trust, with_signatures
from gateway.ledger.entry import TransferExpired
from gateway.ledger.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash
from gateway.ledger.note import COSIGNATURE_V1, NoteVerifier, parse_note
from gateway.ledger.proof import format_proof
from gateway.ledger.verify import audit
from gateway.store.append import Memory, open_ledger
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.export import export_ledger
from gateway.store.session import Database
from tests.ledger.published import ORIGIN, START, MemorySource, leaves, publish, signer

referee = pytest.importorskip("aics_tlog", reason="the outside verifier needs Python 3.12: make referee")

# 1,002 full tiles of level 0, so that paths have two groups of digits; partial tiles of three levels.
SIZE = 1_002 * 256 + 37
OLD_SIZES = [1, 255, 256, 257, 65_535, 65_536, 65_537, 131_072, 256_000, SIZE - 1, SIZE]
ENTRIES: list[bytes] = []
ROOTS: dict[int, bytes] = {}


@pytest.fixture(scope="module")
def published() -> MemorySource:
    """The ledger of SIZE entries. The roots of older sizes are kept, as by somebody who saw those checkpoints."""
    # Spelled out: Entry.leaf() checks each member, which test_entry.py looks at.
    before, _, after = next(leaves(1)).partition(b"00000000")
    ENTRIES[:] = [b"%b%08d%b" % (before, number, after) for number in range(SIZE)]
    assert ENTRIES[:1] == list(leaves(1))
    tree = Frontier()
    for leaf in ENTRIES:
        tree.append(leaf_hash(leaf))
        if tree.size in OLD_SIZES:
            ROOTS[tree.size] = tree.root()
    return publish(ENTRIES)


def head(note: bytes, vkey: str = signer().vkey) -> Any:
    """What the referee makes of a checkpoint. Raises ValueError when it cannot even read it."""
    return referee.verify_checkpoint(referee.parse_note(note), referee.parse_vkey(vkey), expected_origin=ORIGIN)


def reader(source: MemorySource) -> Any:
    return referee.MemoryTileReader(dict(source))


def own_reader(source: MemorySource, size: int) -> tiles.TileReader:
    def read(level: int, index: int, _width: int) -> bytes:
        return source[tiles.tile_path(level, index, tiles.tile_width(SIZE, level, index))]

    return tiles.TileReader(size, read)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_the_referee_accepts_the_whole_ledger(published: MemorySource) -> None:
    """Checkpoint, every hash tile and every entry bundle of a ledger over three levels of tiles pass its audit."""
    found = head(published["checkpoint"])
    assert found.ok, found.error
    assert (found.origin, found.size, found.root) == (ORIGIN, SIZE, ROOTS[SIZE])
    report = referee.audit_tiles(reader(published), found.size, found.root)
    assert (report.size, report.bundles) == (SIZE, 1_003)
    assert report.tiles == sum(not path.startswith("tile/entries/") for path in published) - 1
    assert "tile/entries/x001/002.p/37" in published


def test_both_write_the_same_ledger_to_the_byte(published: MemorySource) -> None:
    """From the same entries and key the referee writes the same resources under the same paths, and the same checkpoint."""
    theirs = referee.tiles.materialise_tiles(ENTRIES)
    ours = {path: data for path, data in published.items() if path != "checkpoint"}
    assert theirs.keys() == ours.keys()
    assert theirs == ours
    key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
    note = referee.sign_checkpoint(referee.Checkpoint(ORIGIN, SIZE, ROOTS[SIZE]), key, ORIGIN)
    assert note.to_bytes() == published["checkpoint"]
    assert referee.format_vkey(referee.vkey_from_ed25519(ORIGIN, key.public_key())) == signer().vkey


def test_what_the_referee_wrote_passes_our_audit() -> None:
    """A ledger that its incremental writer made, partial tiles pruned, is a ledger here too."""
    entries = list(leaves(700))
    store = referee.MemoryTileStore()
    writer = referee.IncrementalTileWriter(store)
    for start in range(0, len(entries), 90):
        writer.append(entries[start : start + 90])
    source = MemorySource(store.tiles)
    source["checkpoint"] = sign(Checkpoint(ORIGIN, writer.size, writer.root()), [signer()])
    report = audit(source, ORIGIN, [signer().verifier])
    assert report.ok, report.checks
    assert not any(check.warning for check in report.checks)


@pytest.mark.parametrize("size", OLD_SIZES)
def test_both_make_the_same_proofs_and_the_referee_accepts_them(published: MemorySource, size: int) -> None:
    """Inclusion in every kept checkpoint, and consistency from it to the newest, are one sequence of hashes for both."""
    theirs, ours = reader(published), own_reader(published, size)
    for index in {0, 1, size // 2, size // 256 * 256 - 1, size - 2, size - 1} & set(range(size)):
        proof = inclusion_proof(index, size, ours.node)
        assert proof == referee.inclusion_proof_from_tiles(theirs, index, size, SIZE)
        assert referee.verify_leaf_inclusion(ENTRIES[index], index, size, proof, ROOTS[size])
        other = (index + 1) % size
        if other != index:
            assert not referee.verify_leaf_inclusion(ENTRIES[other], index, size, proof, ROOTS[size])
        assert not referee.verify_leaf_inclusion(ENTRIES[index], index, size, proof, leaf_hash(b"another root"))
    proof = consistency_proof(size, SIZE, own_reader(published, SIZE).node)
    assert proof == referee.consistency_proof_from_tiles(theirs, size, SIZE)
    assert referee.verify_consistency(size, SIZE, ROOTS[size], ROOTS[SIZE], proof)
    assert not referee.verify_consistency(size, SIZE, leaf_hash(b"another root"), ROOTS[SIZE], proof)
    if proof:
        damaged = [flipped(proof[0], 0), *proof[1:]]
        assert not referee.verify_consistency(size, SIZE, ROOTS[size], ROOTS[SIZE], damaged)


def test_the_proof_text_holds_what_the_referee_needs(published: MemorySource) -> None:
    """A tlog-proof taken apart line by line as its specification says: the referee accepts checkpoint and path in it."""
    index = 65_536
    text = format_proof(index, inclusion_proof(index, SIZE, own_reader(published, SIZE).node), published["checkpoint"])
    lines, _, checkpoint = text.partition("\n\n")
    header, place, *path = lines.split("\n")
    assert (header, place) == ("c2sp.org/tlog-proof@v1", f"index {index}")
    found = head(checkpoint.encode())
    hashes = [referee.note.b64_decode(line) for line in path]
    assert found.ok
    assert referee.verify_leaf_inclusion(ENTRIES[index], index, found.size, hashes, found.root)
    for bit in (0, 100):
        assert not referee.verify_leaf_inclusion(
            ENTRIES[index], index, found.size, [*hashes[:3], flipped(hashes[3], bit), *hashes[4:]], found.root
        )


@pytest.mark.parametrize(
    ("path", "bit"),
    [
        ("tile/0/000", 0),
        ("tile/0/256", 8 * 8_191 + 7),
        ("tile/0/x001/001", 4_000),
        ("tile/0/x001/002.p/37", 8 * 32 * 36),
        ("tile/1/001", 9),
        ("tile/1/003.p/234", 0),
        ("tile/2/000.p/3", 500),
        ("tile/entries/000", 0),  # the length of the first entry
        ("tile/entries/500", 8 * 700 + 1),
        ("tile/entries/x001/002.p/37", 8 * 50),
    ],
)
def test_the_referee_finds_a_flipped_bit(published: MemorySource, path: str, bit: int) -> None:
    """One bit of any tile or bundle, full or partial, and the audit fails; with the resource gone it fails too."""
    bad = MemorySource(published)
    bad[path] = flipped(bad[path], bit)
    with pytest.raises(referee.TileVerificationError):
        referee.audit_tiles(reader(bad), SIZE, ROOTS[SIZE])
    del bad[path]
    with pytest.raises(referee.TileMissingError):
        referee.audit_tiles(reader(bad), SIZE, ROOTS[SIZE])


def test_the_referee_finds_another_root(published: MemorySource) -> None:
    """The same tiles under another root, or under the root of another size, are not that tree."""
    for size, root in ((SIZE, leaf_hash(b"")), (SIZE, ROOTS[SIZE - 1]), (65_536, ROOTS[65_537])):
        with pytest.raises((referee.TileVerificationError, referee.TileMissingError)):
            referee.audit_tiles(reader(published), size, root)


def test_the_referee_refuses_every_flipped_bit_of_a_checkpoint(published: MemorySource) -> None:
    """No bit of a signed checkpoint can change."""
    note = published["checkpoint"]
    for bit in range(8 * len(note)):
        try:
            found = head(flipped(note, bit))
        except ValueError:
            continue
        assert not found.ok, bit


OTHERS: list[Callable[[MemorySource], bytes]] = [
    lambda _source: sign(Checkpoint(ORIGIN, SIZE, ROOTS[SIZE]), [signer(seed=2)]),  # another key under the same name
    lambda _source: publish([], signer("other.example/ledger/x"))["checkpoint"],  # the same key for another ledger
    lambda source: source["checkpoint"] + source["checkpoint"].rpartition(b"\n\n")[2],  # the signature twice
    lambda source: source["checkpoint"].replace(b"\n\n", b"\nextension\n\n"),  # a line that was not signed
]


@pytest.mark.parametrize("other", OTHERS)
def test_the_referee_refuses_a_checkpoint_that_is_not_this_ledgers(
    published: MemorySource, other: Callable[[MemorySource], bytes]
) -> None:
    """The name without the key, the key without the name, and what the key did not sign are worth nothing."""
    assert not head(other(published)).ok


def test_the_referee_reads_a_checkpoint_that_two_keys_signed() -> None:
    """In the month in which a checkpoint key changes: whoever has the old one alone, or the new one alone, believes the note."""
    old, new = signer(), signer(seed=2)
    note = sign(Checkpoint(ORIGIN, SIZE, leaf_hash(b"x")), [new, old])
    assert head(note, old.vkey).ok
    assert head(note, new.vkey).ok
    assert not head(note, signer(seed=3).vkey).ok
    broken = bytearray(note)
    broken[-4] ^= 1  # in the last line, which is the old key's
    assert head(bytes(broken), new.vkey).ok
    assert not head(bytes(broken), old.vkey).ok


def test_a_signed_extension_line_is_read_alike() -> None:
    """A checkpoint with an extension line, which others may write, opens on both sides with the same meaning."""
    note = sign(Checkpoint(ORIGIN, 1, leaf_hash(b"x"), ("extension of somebody",)), [signer()])
    assert head(note).ok
    assert referee.parse_checkpoint(referee.parse_note(note).text).extension_lines == ("extension of somebody",)


def test_the_referee_reads_an_export_from_a_web_server(
    open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys, tmp_path: Path
) -> None:
    """What `sinergi ledger export` wrote, in two steps, behind a plain web server: it passes, and changed on disk it fails."""
    database, out = open_empty(f"sqlite:///{tmp_path / 'sinergi.db'}"), tmp_path / "www" / "pks"
    for _ in range(2):
        with database.write.begin() as connection:
            append = open_ledger(connection, "pks", checkpoint_keys, Memory())
            for number in range(350):
                append.append(TransferExpired(time=START, transfer=f"transfer-{append.size + number}"))
            append.flush()
        export_ledger(database, checkpoint_keys, "pks", out)
    key = referee.parse_vkey(checkpoint_keys.note_signer("gateway.test/ledger/pks").vkey)
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "www")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        remote = referee.HttpTileReader([f"http://127.0.0.1:{server.server_port}/pks/"])
        found = referee.verify_checkpoint(referee.parse_note(remote.read_checkpoint()), key)
        assert (found.ok, found.size) == (True, 700)
        assert referee.audit_tiles(remote, found.size, found.root).bundles == 3
        server.shutdown()
    bundle = out / "tile" / "entries" / "001"
    bundle.write_bytes(flipped(bundle.read_bytes(), 999))
    with pytest.raises(referee.TileVerificationError):
        referee.audit_tiles(referee.FileSystemTileReader(out), found.size, found.root)


def test_both_cosign_to_the_byte_and_read_each_others_lines() -> None:
    """The same key, second and checkpoint give one line on both sides; each verifies the other's and refuses a later second."""
    note = publish(list(leaves(3)))["checkpoint"]
    text = parse_note(note).text
    checkpoint = referee.parse_checkpoint(text)
    key = Ed25519PrivateKey.from_private_bytes(bytes([4]) * 32)
    own = Cosigner(NoteVerifier("witness.example/w1", key.public_key().public_bytes_raw(), COSIGNATURE_V1), key.sign)
    line = own.cosign(text, 1_800_000_000)
    blob, theirs = referee.sign_cosignature(
        key, "witness.example/w1", 1_800_000_000, ORIGIN, checkpoint.size, checkpoint.root
    )
    assert (blob, theirs.key_id) == (line.signature, line.key_id)
    assert referee.format_vkey(referee.cosignature_vkey("witness.example/w1", key.public_key())) == own.verifier.vkey
    stated = ("witness.example/w1", key.public_key(), ORIGIN, checkpoint.size, checkpoint.root)
    assert referee.verify_cosignature(line.signature, *stated)
    assert not referee.verify_cosignature(flipped(line.signature, 63), *stated)
    own.verifier.verify(text.encode(), blob)


def test_the_referee_counts_the_witnesses_as_we_do() -> None:
    """A policy of two witnesses: enough and too few, one by an unknown key and one that does not verify, judged alike."""
    note = publish(list(leaves(3)))["checkpoint"]
    text = parse_note(note).text
    keys = [Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (4, 5, 6)]
    cosigners = [
        Cosigner(
            NoteVerifier(f"witness.example/w{number}", key.public_key().public_bytes_raw(), COSIGNATURE_V1), key.sign
        )
        for number, key in enumerate(keys)
    ]
    lines = [one.cosign(text, 1_800_000_000) for one in cosigners]
    wrong = replace(lines[1], signature=flipped(lines[1].signature, 100))
    witnesses = [one.verifier for one in cosigners[:2]]
    policy = referee.WitnessPolicy(2, tuple(referee.parse_vkey(one.vkey) for one in witnesses))
    trust = Trust(ORIGIN, (signer().verifier,), Quorum(tuple(witnesses), 2))
    for given, enough in (
        (lines[:2], True), (lines, True), (lines[:1], False), (lines[1:], False), ([lines[0], wrong], False), ([], False),
    ):  # fmt: skip
        data = with_signatures(note, given)
        theirs = referee.verify_checkpoint(referee.parse_note(data), referee.parse_vkey(signer().vkey), policy=policy)
        try:
            ours = trust.open(data).size == 3
        except LedgerInvalidError:
            ours = False
        assert theirs.ok is ours is enough, given

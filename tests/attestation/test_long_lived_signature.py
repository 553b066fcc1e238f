"""The long-lived signature of a checkpoint: what it covers, and that a collector adds it after the commit."""

import asyncio
import base64
import struct
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from gateway.errors import LedgerInvalidError
from gateway.ledger.cosignature import Cosigner, Trust, with_signatures
from gateway.ledger.note import ML_DSA_44, NoteVerifier, parse_note
from tests.attestation.house import NONE, House, long_lived
from tests.witness.logs import Log


def test_the_long_lived_signature_is_the_structure_of_the_specification() -> None:
    """tlog-cosignature's `cosigned_message`, written out once more here, is what ML-DSA-44 verifies."""
    log, own = Log(origin="gateway.test/ledger/pks"), long_lived()
    text = parse_note(log.note(1000)).text
    line = own.cosign(text, 1_700_000_000)
    name = b"gateway.test/ledger/pks"
    root = base64.b64decode(text.split("\n")[2])
    message = (
        b"subtree/v1\n\0"
        + struct.pack(">B", len(name)) + name
        + struct.pack(">Q", 1_700_000_000)
        + struct.pack(">B", len(name)) + name
        + struct.pack(">QQ", 0, 1000)
        + root
    )  # fmt: skip
    assert struct.unpack(">Q", line.signature[:8]) == (1_700_000_000,)
    MLDSA44PublicKey.from_public_bytes(own.verifier.public_key).verify(line.signature[8:], message)
    assert NoteVerifier.parse(own.verifier.vkey) == own.verifier
    note = with_signatures(log.note(1000), [line])
    both = Trust(log.origin, (log.signer.verifier, own.verifier))
    assert both.open(note).size == 1000
    # Whoever has broken Ed25519 can sign another root, and cannot carry the other signature over to it.
    forged = with_signatures(log.other("b").note(1000), [line])
    with pytest.raises(LedgerInvalidError, match="ML-DSA-44 signature"):
        both.open(forged)
    with pytest.raises(LedgerInvalidError, match="not every kind of key"):
        both.open(log.note(1000))
    later = replace(line, signature=struct.pack(">Q", 1_800_000_000) + line.signature[8:])
    with pytest.raises(LedgerInvalidError, match="ML-DSA-44 signature"):
        both.open(with_signatures(log.note(1000), [later]))


def test_the_collector_adds_the_long_lived_signature_after_the_commit(house: House) -> None:
    """The commit signs with Ed25519 alone; a round later the published checkpoint carries both, and only once."""
    key = MLDSA44PrivateKey.generate()

    def own(origin: str) -> Cosigner:
        return Cosigner(NoteVerifier(origin, key.public_key().public_bytes_raw(), ML_DSA_44), key.sign)

    async def act() -> None:
        node = house.collector(long_lived=lambda origin: (own(origin),))
        await node.start()
        await node.round()
        await node.round()
        await node.stop()

    house.append(3)
    assert len(parse_note(house.published(NONE)).signatures) == 1
    asyncio.run(act())
    note = house.published(NONE)
    assert len(parse_note(note).signatures) == 2
    assert Trust(house.origin, (house.own, own(house.origin).verifier)).open(note).size == 3
    house.append()
    assert len(parse_note(house.published(NONE)).signatures) == 1, "a newer one is not held back for it"


def test_a_next_long_lived_key_signs_a_checkpoint_that_has_the_old_ones_line_already(house: House) -> None:
    """Announced between two rounds, it signs in the next one, beside the old one, whose line stays what it was."""
    old, new = long_lived(house.origin), long_lived(house.origin)
    signing = [old]

    async def act() -> None:
        node = house.collector(long_lived=lambda _origin: tuple(signing))
        await node.start()
        await node.round()
        before = parse_note(house.published(NONE)).signatures
        signing.insert(0, new)
        await node.round()
        await node.stop()
        assert set(before) < set(parse_note(house.published(NONE)).signatures)

    house.append(3)
    asyncio.run(act())
    for key in (old, new):
        assert Trust(house.origin, (house.own, key.verifier)).open(house.published(NONE)).size == 3

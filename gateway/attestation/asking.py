"""Asking one witness for one cosignature: which old size to begin with, and what each answer means.

    1 prove      from the size that the witness is thought to hold
    2 ask        add-checkpoint
    3 agree      it holds another size: prove from that one, and ask again
    4 verify     its line, under its key, over exactly this checkpoint

Decides nothing about how many are needed. A witness that claims to hold more than we have, or another root, is asked for
what it holds: only a checkpoint that our own key signed proves anything.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.attestation.policy import WitnessPlace
from gateway.delivery.outbound import Call, DeliveryFailed, Outbound, Reply
from gateway.errors import EndpointForbiddenError, LedgerInvalidError
from gateway.ledger.add_checkpoint import PATH, SIZE_MEDIA_TYPE, add_checkpoint, monitoring_path, parse_size
from gateway.ledger.checkpoint import VerifiedCheckpoint, open_checkpoint, parse
from gateway.ledger.cosignature import read_cosignatures
from gateway.ledger.note import NoteSignature, NoteVerifier, parse_note

FUTURE_SECONDS: Final = 60
_ATTEMPTS: Final = 3
_LONGEST_PAUSE: Final = 60.0
_HEEDED: Final = frozenset({400, 403, 404, 409, 413, 422})
# What may mean that our ledger is not the one that the witness saw.
DISAGREES: Final = frozenset({"ahead", "conflict", "status-422"})

Prove = Callable[[int, int], Awaitable[Sequence[bytes]]]


class NoCosignatureError(Exception):
    """`kind` is a short code that quotes nothing: of outbound.py, `status-…`, `ahead`, `conflict` or `invalid`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(slots=True)
class Asking:
    """One witness, for as long as this process runs. `met` are the ledgers that it agreed to since the start."""

    place: WitnessPlace
    outbound: Outbound
    clock: Callable[[], float]
    interval: float = 5.0
    faults: int = 0
    met: set[str] = field(default_factory=set)
    _paused_until: float = 0.0
    _sizes: dict[str, int] = field(default_factory=dict)

    @property
    def paused(self) -> bool:
        """After a failure it is left alone for a while, longer each time, up to a minute."""
        return time.monotonic() < self._paused_until

    async def cosignature(self, note: bytes, known: int, prove: Prove) -> NoteSignature:
        """A verified line over the checkpoint of `note`. `known` is the size it was last known to hold.

        Raises NoCosignatureError.
        """
        try:
            line = await self._ask(note, known, prove)
        except NoCosignatureError:
            self.faults += 1
            self._paused_until = time.monotonic() + min(self.interval * 2.0 ** min(self.faults, 10), _LONGEST_PAUSE)
            raise
        self.faults, self._paused_until = 0, 0.0
        return line

    async def _ask(self, note: bytes, known: int, prove: Prove) -> NoteSignature:
        text = parse_note(note).text
        checkpoint = parse(text)
        old = min(self._sizes.get(checkpoint.origin, known), checkpoint.size)
        for _ in range(_ATTEMPTS):
            request = add_checkpoint(old, await prove(old, checkpoint.size), note)  # 1 prove
            reply = await self._call("POST", PATH, request.to_bytes())  # 2 ask
            if reply.status == 409 and reply.media_type == SIZE_MEDIA_TYPE:  # noqa: PLR2004
                held = _size(reply.body)
                if held > checkpoint.size:
                    raise NoCosignatureError("ahead")
                self._sizes[checkpoint.origin] = old = held  # 3 agree
                continue
            if reply.status == 409:  # noqa: PLR2004
                raise NoCosignatureError("conflict")
            if reply.status != 200:  # noqa: PLR2004
                raise NoCosignatureError(f"status-{reply.status}")
            try:
                latest = int(self.clock()) + FUTURE_SECONDS
                lines = read_cosignatures(reply.body, text, self.place.verifier, latest=latest)  # 4 verify
            except LedgerInvalidError as error:
                raise NoCosignatureError("invalid") from error
            self._sizes[checkpoint.origin] = checkpoint.size
            self.met.add(checkpoint.origin)
            return lines[0]
        raise NoCosignatureError("conflict")

    async def held(self, origin: str, keys: Sequence[NoteVerifier]) -> VerifiedCheckpoint | None:
        """The checkpoint that the witness shows for our ledger, if one of our own keys signed it; else None."""
        try:
            reply = await self._call("GET", monitoring_path(origin), b"")
            return open_checkpoint(reply.body, origin, keys) if reply.status == 200 else None  # noqa: PLR2004
        except (NoCosignatureError, LedgerInvalidError):
            return None

    async def _call(self, method: str, path: str, body: bytes) -> Reply:
        headers = {"Content-Type": "text/plain; charset=utf-8"} if body else {}
        try:
            reply = await self.outbound.call(self.place.endpoint, Call(method, body, headers, path, _HEEDED))
        except EndpointForbiddenError as error:
            raise NoCosignatureError(error.code) from error
        if isinstance(reply, DeliveryFailed):
            raise NoCosignatureError(reply.code)
        return reply


def _size(body: bytes) -> int:
    try:
        return parse_size(body)
    except LedgerInvalidError as error:
        raise NoCosignatureError("invalid") from error

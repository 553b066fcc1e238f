"""Transfer ids: UUIDv7 (RFC 9562 §5.7), so that the primary key is in the order of time and a date is a key range."""

import uuid
from datetime import datetime

from gateway.store.randomness import random_bytes
from gateway.store.tables import micros


def new_transfer_id(now: datetime) -> str:
    milliseconds = micros(now) // 1000
    value = milliseconds << 80 | int.from_bytes(random_bytes(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def first_id(moment: datetime) -> str:
    """The least id that a transfer received at `moment`, or later, can have."""
    return str(uuid.UUID(int=max(0, micros(moment) // 1000) << 80))

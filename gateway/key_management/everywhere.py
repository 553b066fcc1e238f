"""Whether a key that is about to be announced opens on every node that serves: then it need not be known for long beforehand.

Asks through the register of nodes (`store/nodes.py`), which PostgreSQL alone has: on SQLite one machine serves.
"""

import contextlib
import json
import time as clock
import uuid
from typing import Final

from gateway.errors import GatewayError
from gateway.operations.acts import record
from gateway.store.nodes import Beat, Leave, live
from gateway.wiring import Store

# A node beats every two seconds, and may have to open the key first.
PATIENCE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.5


def asked_everywhere(store: Store, role: str, uri: str, kid: str) -> tuple[int, tuple[str, ...]]:
    """How many nodes serve, and the names of those that have not opened this key after a while."""
    id_, until = str(uuid.uuid4()), clock.monotonic() + PATIENCE_SECONDS
    asks = {"name": "-", "config_version": 0, "unopened": 0, "opens": "[]", "asks": json.dumps([role, uri, kid])}
    record(store, Beat(id_, asks))
    try:
        while True:
            with store.database.reading() as session:
                nodes = live(session)
            left = tuple(node.name for node in nodes if kid not in node.opens)
            if not left or clock.monotonic() >= until:
                return len(nodes), left
            clock.sleep(_LOOK_SECONDS)
    finally:
        with contextlib.suppress(GatewayError):
            record(store, Leave(id_))

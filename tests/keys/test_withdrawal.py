"""An announced key is taken back only while nobody can have used it."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert

from gateway.key_management.withdrawal import end_announced
from gateway.operations.acts import ConflictError
from gateway.store.session import Database
from gateway.store.tables import GatewayKeyRow, micros
from gateway.wiring import now


@pytest.mark.parametrize(("begins_in", "taken_back"), [(10, ("sqlite",)), (90, ("sqlite", "postgresql"))])
def test_where_other_nodes_may_serve_their_clocks_are_reckoned_with(
    database: Database, begins_in: int, taken_back: tuple[str, ...]
) -> None:
    """A node whose clock is ahead, as far as clocks may be, has signed by a key that begins in a moment."""
    row: dict[str, Any] = {
        "kid": "k1",
        "use": "sign",
        "jwk": None,
        "uri": "file:/x",
        "not_before": micros(now() + timedelta(seconds=begins_in)),
        "not_after": None,
        "status": "active",
    }
    with database.write.begin() as connection:
        connection.execute(insert(GatewayKeyRow), [row])
        transaction: Any = SimpleNamespace(connection=connection)
        if connection.dialect.name in taken_back:
            end_announced(transaction, "sign", "k1", now())
        else:
            with pytest.raises(ConflictError, match="perhaps on another node"):
                end_announced(transaction, "sign", "k1", now())

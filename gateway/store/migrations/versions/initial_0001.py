"""The first shape, and the guards that make the ledger append-only inside the database itself.

A guard deters; it does not prove. Who owns the tables can disable a trigger: checkpoints held elsewhere detect that.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _tables()
    _lookups()
    op.execute("INSERT INTO config_version (id, version) VALUES (1, 1)")
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


def _lookups() -> None:
    op.create_table(
        "ledger_mention",
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sort", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=280), nullable=False),
        sa.PrimaryKeyConstraint("ledger", "position"),
        sqlite_with_rowid=False,
    )
    op.create_index("ledger_mention_by_name", "ledger_mention", ["ledger", "sort", "name", "position"])
    op.create_index("subject_index_by_transfer", "subject_index", ["transfer"])


def _tables() -> None:
    op.create_table(
        "acknowledgement",
        sa.Column("transfer", sa.String(length=36), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("jws", sa.String(), nullable=False),
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("transfer", "event"),
    )
    op.create_index("acknowledgement_by_entry", "acknowledgement", ["ledger", "position"], unique=True)
    op.create_table(
        "agency",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("endpoint_url", sa.String(length=2048), nullable=True),
        sa.Column("endpoint_networks", sa.String(), nullable=False),
        sa.Column("endpoint_ca_file", sa.String(), nullable=True),
        sa.Column("paused_reason", sa.String(), nullable=True),
        sa.Column("liaison_url", sa.String(length=2048), nullable=True),
        sa.Column("liaison_networks", sa.String(), nullable=False),
        sa.Column("liaison_ca_file", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "agency_key",
        sa.Column("agency", sa.String(length=63), nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("jwk", sa.String(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("untrusted_since", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("agency", "kid"),
    )
    op.create_table(
        "agreement",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("signatures", sa.String(), nullable=False),
        sa.Column("activated_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", "version"),
    )
    op.create_table(
        "attested_checkpoint",
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ledger", "size"),
    )
    op.create_table(
        "auditor",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_table(
        "checkpoint_timestamp",
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("stamped_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ledger", "size"),
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("recipient", sa.String(length=63), nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("jws", sa.String(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("acknowledgement", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "config_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "deadline",
        sa.Column("transfer", sa.String(length=36), nullable=False),
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("sender", sa.String(length=63), nullable=False),
        sa.Column("recipient", sa.String(length=63), nullable=False),
        sa.Column("type", sa.String(length=280), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("met_at", sa.BigInteger(), nullable=True),
        sa.Column("met_by", sa.String(length=16), nullable=True),
        sa.Column("escalated_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("transfer"),
    )
    op.create_index(
        "deadline_open",
        "deadline",
        ["due_at", "transfer"],
        unique=False,
        sqlite_where=sa.text("met_at IS NULL"),
        postgresql_where=sa.text("met_at IS NULL"),
    )
    op.create_table(
        "early_warning",
        sa.Column("transfer", sa.String(length=36), nullable=False),
        sa.Column("sender", sa.String(length=63), nullable=False),
        sa.Column("recipient", sa.String(length=63), nullable=False),
        sa.Column("region_code", sa.String(length=16), nullable=True),
        sa.Column("severity", sa.Integer(), nullable=True),
        sa.Column("suspected_offence", sa.String(length=64), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("triage", sa.String(length=64), nullable=True),
        sa.Column("assigned_unit", sa.String(length=120), nullable=True),
        sa.Column("triaged_at", sa.BigInteger(), nullable=True),
        sa.Column("duplicate_of", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("transfer"),
    )
    op.create_index("early_warning_by_time", "early_warning", ["received_at"], unique=False)
    op.create_table(
        "gateway_key",
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("use", sa.String(length=16), nullable=False),
        sa.Column("jwk", sa.String(), nullable=True),
        sa.Column("uri", sa.String(), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("untrusted_since", sa.BigInteger(), nullable=True),
        sa.Column("succession", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "key_statement",
        sa.Column("agency", sa.String(length=63), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("use", sa.String(length=16), nullable=False),
        sa.Column("statement", sa.String(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agency"),
    )
    op.create_table(
        "ledger_checkpoint",
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ledger", "size"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_entry",
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ledger", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_head",
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("origin", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ledger"),
        sa.UniqueConstraint("origin"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_tile",
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ledger", "level", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "liaison_notice",
        sa.Column("transfer", sa.String(length=36), nullable=False),
        sa.Column("agency", sa.String(length=63), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("transfer", "agency", "event"),
    )
    op.create_index(
        "liaison_notice_waiting",
        "liaison_notice",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "officer",
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("agency", sa.String(length=63), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("index_key", sa.String(length=16), server_default="", nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("unit", sa.String(length=120), nullable=False),
        sa.Column("jwk", sa.String(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("storage_key", sa.String(length=16), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_identity", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "operator",
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("operator", sa.String(length=63), nullable=False),
        sa.Column("jwk", sa.String(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "outbox",
        sa.Column("transfer", sa.String(length=36), nullable=False),
        sa.Column("recipient", sa.String(length=63), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("transfer"),
    )
    op.create_index(
        "outbox_expiring",
        "outbox",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "outbox_waiting",
        "outbox",
        ["recipient", "priority", "transfer"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "proposal",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(length=128), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("attachment", sa.String(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("proposal", sa.String(), nullable=False),
        sa.Column("approved_by", sa.String(length=64), nullable=True),
        sa.Column("approval", sa.String(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "published_schema",
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("type", "version", "published_at"),
    )
    op.create_table(
        "recovery_key",
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("agency", sa.String(length=63), nullable=False),
        sa.Column("jwk", sa.String(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "subject_index",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("transfer", sa.String(length=36), nullable=False),
        sa.Column("index_key", sa.String(length=16), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("kind", "token", "transfer"),
    )
    op.create_table(
        "transfer",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("ledger", sa.String(length=63), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.String(length=63), nullable=False),
        sa.Column("recipient", sa.String(length=63), nullable=False),
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("index_key", sa.String(length=16), server_default="", nullable=False),
        sa.Column("type", sa.String(length=280), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("classification", sa.String(length=2), nullable=False),
        sa.Column("agreement", sa.String(length=63), nullable=False),
        sa.Column("agreement_version", sa.Integer(), nullable=True),
        sa.Column("rule", sa.String(length=64), nullable=True),
        sa.Column("clause", sa.String(length=100), nullable=True),
        sa.Column("decision", sa.String(length=8), nullable=False),
        sa.Column("reasons", sa.String(), nullable=False),
        sa.Column("withheld", sa.String(), nullable=False),
        sa.Column("flags", sa.String(), nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("in_reply_to", sa.String(length=36), nullable=True),
        sa.Column("reply_as", sa.String(length=8), nullable=True),
        sa.Column("stands_until", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("acknowledge_by", sa.BigInteger(), nullable=True),
        sa.Column("retain_until", sa.String(length=32), nullable=True),
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("storage_key", sa.String(length=16), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_content", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_receipt", sa.LargeBinary(), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.Column("erased_for", sa.String(length=16), nullable=True),
        sa.Column("erased_position", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("transfer_by_clause", "transfer", ["clause", "id"], unique=False)
    op.create_index("transfer_by_decision", "transfer", ["decision", "id"], unique=False)
    op.create_index("transfer_by_entry", "transfer", ["ledger", "position"], unique=True)
    op.create_index("transfer_by_identity", "transfer", ["sender", "identity"], unique=True)
    op.create_index("transfer_by_recipient", "transfer", ["recipient", "id"], unique=False)
    op.create_index(
        "transfer_kept",
        "transfer",
        ["decision", "retain_until", "id"],
        unique=False,
        sqlite_where=sa.text("erased_at IS NULL"),
        postgresql_where=sa.text("erased_at IS NULL"),
    )
    op.create_index("transfer_by_reply", "transfer", ["in_reply_to", "decision", "reply_as"], unique=False)
    op.create_index("transfer_by_rule", "transfer", ["agreement", "rule", "sender", "decision", "id"], unique=False)
    op.create_index("transfer_by_sender", "transfer", ["sender", "id"], unique=False)
    op.create_index("transfer_by_type", "transfer", ["type", "id"], unique=False)
    op.create_table(
        "transfer_code",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("transfer", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("code", "transfer"),
    )
    op.create_table(
        "hold",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("why", sa.String(length=128), nullable=False),
        sa.Column("citation", sa.String(length=200), nullable=False),
        sa.Column("added_by", sa.String(length=128), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("released_by", sa.String(length=128), nullable=True),
        sa.Column("released_why", sa.String(length=128), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("approvals", sa.String(), nullable=False),
        sa.Column("commitment_key", sa.LargeBinary(), nullable=False),
        sa.Column("index_key", sa.String(length=16), server_default="", nullable=False),
        sa.Column("storage_key", sa.String(length=16), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_target", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("hold_by_target", "hold", ["scope", "target"], unique=False)
    op.create_table(
        "subject_request",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("who", sa.String(length=128), nullable=False),
        sa.Column("why", sa.String(length=128), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("storage_key", sa.String(length=16), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "chore",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "used_message_id",
        sa.Column("sender", sa.String(length=63), nullable=False),
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("transfer", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("sender", "jti"),
    )
    op.create_table(
        "used_token",
        sa.Column("agency", sa.String(length=63), nullable=False),
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agency", "jti"),
    )
    op.create_index(op.f("ix_used_token_expires_at"), "used_token", ["expires_at"], unique=False)


def _sqlite_guards() -> list[str]:
    guards = []
    for table, key in (("ledger_entry", "position"), ("ledger_checkpoint", "size")):
        guards += [
            # INSERT OR REPLACE deletes without firing a DELETE trigger: refuse the insert itself.
            f"""CREATE TRIGGER {table}_once BEFORE INSERT ON {table}
                WHEN EXISTS (SELECT 1 FROM {table} WHERE ledger = NEW.ledger AND {key} = NEW.{key})
                BEGIN SELECT RAISE(ABORT, 'append-only'); END""",
            f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'append-only'); END",
            f"CREATE TRIGGER {table}_fixed BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, 'append-only'); END",
        ]
    guards += [
        "CREATE TRIGGER ledger_tile_kept BEFORE DELETE ON ledger_tile BEGIN SELECT RAISE(ABORT, 'append-only'); END",
        "CREATE TRIGGER ledger_head_kept BEFORE DELETE ON ledger_head BEGIN SELECT RAISE(ABORT, 'append-only'); END",
        """CREATE TRIGGER ledger_tile_grows BEFORE UPDATE ON ledger_tile
           WHEN NEW.ledger IS NOT OLD.ledger OR NEW.level IS NOT OLD.level OR NEW.position IS NOT OLD.position
             OR length(NEW.data) < length(OLD.data) OR substr(NEW.data, 1, length(OLD.data)) IS NOT OLD.data
           BEGIN SELECT RAISE(ABORT, 'append-only'); END""",
        """CREATE TRIGGER ledger_head_grows BEFORE UPDATE ON ledger_head
           WHEN NEW.ledger IS NOT OLD.ledger OR NEW.origin IS NOT OLD.origin OR NEW.size < OLD.size
           BEGIN SELECT RAISE(ABORT, 'append-only'); END""",
    ]
    for table in ("ledger_tile", "ledger_head"):
        keys = "ledger = NEW.ledger" + (
            " AND level = NEW.level AND position = NEW.position" if table == "ledger_tile" else ""
        )
        guards.append(
            f"""CREATE TRIGGER {table}_once BEFORE INSERT ON {table}
                WHEN EXISTS (SELECT 1 FROM {table} WHERE {keys})
                BEGIN SELECT RAISE(ABORT, 'append-only'); END"""
        )
    return guards


def _postgresql_guards() -> list[str]:
    guards = [
        """CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN RAISE EXCEPTION 'append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
        """CREATE FUNCTION ledger_tile_grows() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN
             IF (NEW.ledger, NEW.level, NEW.position) IS DISTINCT FROM (OLD.ledger, OLD.level, OLD.position)
                OR length(NEW.data) < length(OLD.data)
                OR substring(NEW.data FROM 1 FOR length(OLD.data)) IS DISTINCT FROM OLD.data
             THEN RAISE EXCEPTION 'append-only' USING ERRCODE = 'integrity_constraint_violation'; END IF;
             RETURN NEW;
           END $$""",
        """CREATE FUNCTION ledger_head_grows() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN
             IF (NEW.ledger, NEW.origin) IS DISTINCT FROM (OLD.ledger, OLD.origin) OR NEW.size < OLD.size
             THEN RAISE EXCEPTION 'append-only' USING ERRCODE = 'integrity_constraint_violation'; END IF;
             RETURN NEW;
           END $$""",
    ]
    for table, changes in (
        ("ledger_entry", "DELETE OR UPDATE"),
        ("ledger_checkpoint", "DELETE OR UPDATE"),
        ("ledger_tile", "DELETE"),
        ("ledger_head", "DELETE"),
    ):
        guards += [
            f"CREATE TRIGGER {table}_kept BEFORE {changes} ON {table} FOR EACH ROW EXECUTE FUNCTION ledger_refuse()",
            # TRUNCATE fires no row trigger.
            f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()",
        ]
    for table in ("ledger_tile", "ledger_head"):
        guards.append(
            f"CREATE TRIGGER {table}_grows BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_grows()"
        )
    triggers = {
        "ledger_entry": ("kept", "whole"),
        "ledger_checkpoint": ("kept", "whole"),
        "ledger_tile": ("kept", "whole", "grows"),
        "ledger_head": ("kept", "whole", "grows"),
    }
    # ALWAYS: without it `session_replication_role = replica` slips past.
    guards += [
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{name}"
        for table, names in triggers.items()
        for name in names
    ]
    return guards


_SQLITE = _sqlite_guards()
_POSTGRESQL = _postgresql_guards()

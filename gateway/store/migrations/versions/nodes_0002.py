"""The register of running processes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "node",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("config_version", sa.BigInteger(), nullable=False),
        sa.Column("unopened", sa.Integer(), nullable=False),
        sa.Column("asks", sa.String(), nullable=True),
        sa.Column("opens", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )

"""The outbox of version 0.2: the changed runs to deliver to other systems."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Uuid

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Make an empty outbox: changes before the upgrade are not delivered."""
    op.create_table(
        "outbox",
        Column("pipeline_execution_id", Uuid, ForeignKey("pipeline_executions.id"), primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("told", LargeBinary),
        Column("attempts", Integer, nullable=False),
        Column("due_at", BigInteger),
        Column("claim", Uuid),
    )
    op.create_index("outbox_due", "outbox", ["due_at"])

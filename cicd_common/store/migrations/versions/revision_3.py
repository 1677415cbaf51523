"""The outbox of version 0.2: the runs that changed and that others were not told of."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Uuid

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Make the outbox, which is empty: nobody is told of what happened before."""
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

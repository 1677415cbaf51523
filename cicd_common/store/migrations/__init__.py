"""The revisions of the store's tables, as scripts of Alembic.

A script says the tables as they were when it was written, and imports nothing of the package: it has to do the same
for ever, also in a copy of the package under another name.
"""

__all__ = ["REVISIONS", "VERSION_TABLE"]

REVISIONS = ("1", "2", "3")
"""The revisions, oldest first: that of version 0.1, and those of version 0.2."""

VERSION_TABLE = "cicd_common_revision"
"""The table in which Alembic notes the revision: not its usual one, which others in the database may use."""

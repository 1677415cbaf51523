"""The revisions of the store's tables, as scripts of Alembic.

A script states the tables as they were when it was written, and imports nothing of the package: it must do the same
for ever, also in a copy of the package under another name.
"""

__all__ = ["REVISIONS", "VERSION_TABLE"]

REVISIONS = ("1", "2", "3")
"""The revisions, oldest first: that of version 0.1, and those of version 0.2."""

VERSION_TABLE = "cicd_common_revision"
"""The table in which Alembic keeps the revision. Its usual table may belong to another user of the database."""

"""The script with which Alembic runs the revisions, on the connection that the store has opened."""

from alembic import context

context.configure(**context.config.attributes["store"])
context.run_migrations()

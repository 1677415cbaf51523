"""Send statements to PostgreSQL together, and read what it answers together.

This is the pipeline mode of libpq, by `psycopg.pq`, on statements that the server has prepared. Cursors and pipelines
of psycopg do more than is needed here, and take longer than the server does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from attrs import Factory, frozen
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy import PoolProxiedConnection

__all__ = ["exchange"]

_Statements = Sequence[tuple[str, Sequence[Any]]]
_Rows = Sequence[tuple[Any, ...]]
# The name of a statement that the server has prepared, and the formats of its parameters.
_Prepared = tuple[bytes, list[PyFormat]]


@frozen
class _Wire:
    """A connection as libpq has it, for as long as it lasts.

    Attributes:
        driver: The connection of psycopg.
        prepared: The statements that the server has prepared, by their texts.
        transformer: What converts values.
    """

    driver: psycopg.Connection[Any]
    prepared: dict[str, _Prepared] = Factory(dict)
    transformer: Any = Factory(lambda self: Transformer(self.driver), takes_self=True)


def exchange(connection: PoolProxiedConnection, statements: _Statements) -> list[_Rows]:
    """Run statements, in order, up to the first one that fails.

    Args:
        connection: A connection. It is invalid afterwards if it broke off, or if this was interrupted.
        statements: The statements, each with its parameters, the first of which is ``$1``.

    Returns:
        The rows that each statement returned.

    Raises:
        psycopg.Error: One of them failed, or the connection did.
    """
    wire = connection.info.get("wire")
    if wire is None:
        driver: Any = connection.driver_connection
        wire = connection.info["wire"] = _Wire(driver)
    try:
        return _exchange(connection, wire, statements)
    except InvalidSqlStatementName:
        # psycopg has the server forget all that was prepared when it rolls back. That was before: nothing was done yet.
        wire.prepared.clear()
        if wire.driver.pgconn.transaction_status != TransactionStatus.IDLE:
            raise
        return _exchange(connection, wire, statements)


def _exchange(connection: PoolProxiedConnection, wire: _Wire, statements: _Statements) -> list[_Rows]:
    pgconn = wire.driver.pgconn
    try:
        pgconn.enter_pipeline_mode()
        sent = _send(pgconn, wire, statements)
        answers = wire.driver.wait(_received(pgconn, len(sent)))
        pgconn.exit_pipeline_mode()
        found = []
        for (sql, new), answer in zip(sent, answers, strict=True):
            rows = _rows(wire, answer)
            if new is None:
                found.append(rows)
            else:
                wire.prepared[sql] = new
        return found
    finally:
        if pgconn.status == ConnStatus.BAD or pgconn.pipeline_status != PipelineStatus.OFF:
            connection.invalidate()


def _send(pgconn: PGconn, wire: _Wire, statements: _Statements) -> list[tuple[str, _Prepared | None]]:
    """Send statements: to be run, or to be prepared before that, of which it is returned as what."""
    transformer = wire.transformer
    prepared = dict(wire.prepared)
    sent: list[tuple[str, _Prepared | None]] = []
    for sql, parameters in statements:
        if sql not in prepared:
            # What is no text is no text in every run of a statement.
            formats = [PyFormat.BINARY if type(each) is psycopg.Binary else PyFormat.TEXT for each in parameters]
            prepared[sql] = b"cicd_common_%d" % len(prepared), formats
            pgconn.send_prepare(prepared[sql][0], sql.encode())
            sent.append((sql, prepared[sql]))
        name, formats = prepared[sql]
        values = transformer.dump_sequence(parameters, formats)
        pgconn.send_query_prepared(name, values, transformer.formats, Format.TEXT)
        sent.append((sql, None))
    pgconn.pipeline_sync()
    return sent


def _received(pgconn: PGconn, count: int) -> PQGen[list[PGresult]]:
    """Send what is left to be sent, and receive the answers to so many statements."""
    yield from generators.send(pgconn)
    answers: list[PGresult] = []
    for _ in range(count):
        answers += yield from generators.fetch_many(pgconn)
    yield from generators.fetch_many(pgconn)  # of which there is one more, to the end of the pipeline
    return answers


def _rows(wire: _Wire, answer: PGresult) -> _Rows:
    """The rows that are in an answer."""
    status = answer.status
    if status == ExecStatus.COMMAND_OK:
        return ()
    if status != ExecStatus.TUPLES_OK:
        raise error_from_result(answer)
    wire.transformer.set_pgresult(answer)
    rows: _Rows = wire.transformer.load_rows(0, answer.ntuples, tuple)
    return rows

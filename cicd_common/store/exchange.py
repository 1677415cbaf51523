"""Send statements to PostgreSQL together, and read what it answers together.

This is the pipeline mode of libpq, by `psycopg.pq`, on statements that the server has prepared. Cursors and pipelines
of psycopg do more than is needed here, and take longer than the server does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from attrs import Factory, frozen
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from .hot import Rows, Statement

__all__ = ["Exchange"]

# The name of a statement that the server has prepared, and the formats of its parameters.
_Prepared = tuple[bytes, list[PyFormat]]


@frozen
class Exchange:
    """A connection of psycopg, used as libpq has it.

    Attributes:
        driver: The connection of psycopg.
        prepared: The statements that the server has prepared, by their texts.
        transformer: What converts values.
    """

    driver: psycopg.Connection[Any]
    prepared: dict[str, _Prepared] = Factory(dict)
    transformer: Any = Factory(lambda self: Transformer(self.driver), takes_self=True)

    def run(self, statements: Sequence[Statement]) -> list[Rows]:
        """Run statements, in order, up to the first one that fails.

        Args:
            statements: The statements, each with its parameters, the first of which is ``$1``.

        Returns:
            The rows that each statement returned.

        Raises:
            psycopg.Error: One of them failed, or the connection did.
        """
        pgconn = self.driver.pgconn
        pgconn.enter_pipeline_mode()
        sent = self._send(pgconn, statements)
        answers = self.driver.wait(_received(pgconn, len(sent)))
        pgconn.exit_pipeline_mode()
        found = []
        for (sql, new), answer in zip(sent, answers, strict=True):
            rows = self._rows(answer)
            if new is None:
                found.append(rows)
            else:
                self.prepared[sql] = new
        return found

    def reset(self) -> bool:
        """Roll back what is open.

        Returns:
            Whether the connection can be used any more: it can't if it broke off, or if `run` was interrupted.
        """
        pgconn = self.driver.pgconn
        if pgconn.pipeline_status != PipelineStatus.OFF:
            return False
        if pgconn.transaction_status != TransactionStatus.IDLE:
            # After `rollback` of psycopg the server may have forgotten what it has prepared.
            with suppress(psycopg.Error):
                self.run([("ROLLBACK", ())])
        return pgconn.transaction_status == TransactionStatus.IDLE

    def _send(self, pgconn: PGconn, statements: Sequence[Statement]) -> list[tuple[str, _Prepared | None]]:
        """Send statements: to be run, or to be prepared before that, of which it is returned as what."""
        prepared = dict(self.prepared)
        sent: list[tuple[str, _Prepared | None]] = []
        for sql, parameters in statements:
            if sql not in prepared:
                # What is no text is no text in every run of a statement.
                formats = [PyFormat.BINARY if type(each) is psycopg.Binary else PyFormat.TEXT for each in parameters]
                prepared[sql] = b"cicd_common_%d" % len(prepared), formats
                pgconn.send_prepare(prepared[sql][0], sql.encode())
                sent.append((sql, prepared[sql]))
            name, formats = prepared[sql]
            values = self.transformer.dump_sequence(parameters, formats)
            pgconn.send_query_prepared(name, values, self.transformer.formats, Format.TEXT)
            sent.append((sql, None))
        pgconn.pipeline_sync()
        return sent

    def _rows(self, answer: PGresult) -> Rows:
        """The rows that are in an answer."""
        status = answer.status
        if status == ExecStatus.COMMAND_OK:
            return ()
        if status != ExecStatus.TUPLES_OK:
            raise error_from_result(answer)
        self.transformer.set_pgresult(answer)
        rows: Rows = self.transformer.load_rows(0, answer.ntuples, tuple)
        return rows


def _received(pgconn: PGconn, count: int) -> PQGen[list[PGresult]]:
    """Send what is left to be sent, and receive the answers to so many statements."""
    yield from generators.send(pgconn)
    answers: list[PGresult] = []
    for _ in range(count):
        answers += yield from generators.fetch_many(pgconn)
    yield from generators.fetch_many(pgconn)  # of which there is one more, to the end of the pipeline
    return answers

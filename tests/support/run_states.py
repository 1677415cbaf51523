"""Strategies for the successive states of a run."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from cicd_common.model import PipelineExecution
from cicd_common.testing.strategies import deliveries, histories, pipelines

__all__ = ["finished_runs", "run_states"]

_HANDED_OUT = datetime(2026, 1, 31, tzinfo=UTC)


@st.composite
def run_states(draw: st.DrawFn, in_order: bool = False) -> list[PipelineExecution | None]:
    """The successive states of a run, beginning with None for a run that is not started.

    Args:
        draw: Passed by hypothesis.
        in_order: Whether each update arrives once and in order. Otherwise updates are repeated and reordered.
    """
    history = draw(pipelines().flatmap(histories))
    moved, _ = history.execution.hand_out(_HANDED_OUT)
    states: list[PipelineExecution | None] = [None, history.execution, moved]
    for update in history.updates if in_order else draw(deliveries(history)):
        applied, _ = moved.apply(update)
        moved, _ = applied.hand_out(_HANDED_OUT)
        states += [applied, moved]
    return states


def finished_runs() -> st.SearchStrategy[PipelineExecution]:
    """The last states of runs, some of them canceled."""
    canceled = run_states().map(_canceled)
    return run_states().map(lambda states: states[-1]) | canceled


def _canceled(states: list[PipelineExecution | None]) -> PipelineExecution:
    """The run, canceled before its first job is handed out."""
    run, _ = states[1].cancel(_HANDED_OUT)
    return run

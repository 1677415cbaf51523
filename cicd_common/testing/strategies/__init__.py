"""Hypothesis strategies for the types of the contract, for the histories of executions, and for JSON documents.

With the extra ``testing``, plain ``st.from_type(JobStatusUpdate)`` and ``@given(...)`` with annotations draw the same
values without an import of this module.
"""

from .documents import Document, arbitrary_text, documents
from .histories import History, deliveries, executions, histories, job_histories
from .json import environments, json_objects, json_values
from .leaves import integers, kinds, names, relative_paths, sha256s, texts, times, uuids
from .types import from_type, pipelines

__all__ = [
    "Document",
    "History",
    "arbitrary_text",
    "deliveries",
    "documents",
    "environments",
    "executions",
    "from_type",
    "histories",
    "integers",
    "job_histories",
    "json_objects",
    "json_values",
    "kinds",
    "names",
    "pipelines",
    "relative_paths",
    "sha256s",
    "texts",
    "times",
    "uuids",
]

"""Integrations need an extra, which the core of the package does not need."""

import importlib
import subprocess
import sys

import pytest


def test_needs_kombu(monkeypatch):
    """Without kombu, the import raises an ImportError that names the extra."""
    monkeypatch.delitem(sys.modules, "cicd_common.integrations.kombu", raising=False)
    monkeypatch.setitem(sys.modules, "kombu", None)
    monkeypatch.setitem(sys.modules, "kombu.serialization", None)
    with pytest.raises(ImportError) as caught:
        importlib.import_module("cicd_common.integrations.kombu")
    assert str(caught.value) == (
        "cicd_common.integrations.kombu needs kombu, which is not installed; the extra 'kombu' brings it: "
        "pip install 'cicd-common[kombu]'"
    )


def test_is_not_part_of_the_core():
    """The package itself imports no integration."""
    code = """
import sys
import cicd_common.integrations
print([name for name in sys.modules if name.partition(".")[0] in ("cloudevents", "kombu", "opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

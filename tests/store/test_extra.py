"""The store needs an extra, which the core of the package does not need."""

import importlib
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest


def run(code: str) -> str:
    """Run code in a new interpreter and return its output."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


class TestImport:
    @pytest.mark.parametrize("missing", ["sqlalchemy", "alembic"])
    def test_needs_sqlalchemy_and_alembic(self, missing):
        """Without SQLAlchemy or Alembic, the import raises an ImportError that names the extra."""
        code = f"""
import sys
sys.modules["{missing}"] = None
try:
    import cicd_common.store
except ImportError as error:
    print(error)
"""
        assert "pip install 'cicd-common[store]'" in run(code)

    def test_is_not_part_of_the_core(self):
        """No other module of the package imports the store."""
        code = """
import importlib, sys
from pathlib import Path
import cicd_common
root = Path(cicd_common.__file__).parent
for path in root.rglob("*.py"):
    parts = path.relative_to(root).with_suffix("").parts
    if parts[0] not in ("store", "__main__", "__init__"):
        importlib.import_module(".".join(["cicd_common", *parts]).removesuffix(".__init__"))
print([name for name in sys.modules if name.startswith(("sqlalchemy", "alembic", "cicd_common.store"))])
"""
        assert run(code) == "[]"

    @pytest.mark.skipif(find_spec("sqlalchemy") is None, reason="SQLAlchemy is not installed")
    def test_needs_psycopg(self, monkeypatch):
        """Without psycopg, a URL of PostgreSQL raises an ImportError that names the extra and not the URL."""
        from cicd_common.store import ExecutionStore

        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(ImportError) as caught:
            ExecutionStore("postgresql://user:secret@host/name")
        assert str(caught.value) == (
            "a PostgreSQL database needs psycopg, which is not installed; the extra 'postgres' brings it: "
            "pip install 'cicd-common[postgres]'"
        )

    @pytest.mark.skipif(find_spec("sqlalchemy") is None, reason="SQLAlchemy is not installed")
    def test_says_what_is_missing_first(self, monkeypatch):
        """The module `_extra`, which the store imports first, raises the error."""
        from cicd_common.store import _extra

        monkeypatch.setitem(sys.modules, "sqlalchemy", None)
        with pytest.raises(ImportError, match="cicd-common\\[store\\]"):
            importlib.reload(_extra)

    def test_is_tested(self):
        """Without SQLAlchemy this test is skipped with the reason, or fails in CI."""
        if find_spec("sqlalchemy") is None:
            reason = "the tests of the store need the extras store and postgres"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)

    @pytest.mark.skipif(find_spec("sqlalchemy") is None, reason="SQLAlchemy is not installed")
    def test_face(self):
        """The names in `__all__` exist and are sorted."""
        import cicd_common.store as store

        assert sorted(store.__all__) == store.__all__
        assert all(hasattr(store, name) for name in store.__all__)

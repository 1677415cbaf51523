"""Describing files as artifacts, and saving contents as files."""

from __future__ import annotations

import hashlib
import importlib
import os
import stat
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common.api.request import Artifact
from cicd_common.artifacts import ContentMismatchError, describe, save


class TestDescribe:
    @given(content=st.binary(max_size=3000))
    def test_says_path_size_and_sha256(self, tmp_path_factory, content):
        """The artifact has the file's path below the root, its size and its SHA-256."""
        root = tmp_path_factory.mktemp("root")
        (root / "dist").mkdir()
        (root / "dist/app.whl").write_bytes(content)
        expected = Artifact(path="dist/app.whl", size=len(content), sha256=hashlib.sha256(content).hexdigest())
        assert describe(root / "dist/app.whl", root=root) == expected

    def test_refuses_a_file_elsewhere(self, tmp_path):
        """A file outside the root is refused, and so is a path that an artifact cannot have."""
        (tmp_path / "root").mkdir()
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "root/back\\slash").write_bytes(b"")
        with pytest.raises(ValueError, match="root"):
            describe(tmp_path / "file", root=tmp_path / "root")
        with pytest.raises(ContractError):
            describe(tmp_path / "root/../file", root=tmp_path / "root")
        with pytest.raises(ContractError):
            describe(tmp_path / "root/back\\slash", root=tmp_path / "root")


class TestSave:
    SHA256 = hashlib.sha256(b"content").hexdigest()

    def test_writes_what_comes(self, tmp_path):
        """The file has the content of the chunks and the usual permissions, and replaces an existing one."""
        target = tmp_path / "target"
        target.write_bytes(b"before")
        save([b"con", b"", b"tent"], target, sha256=self.SHA256, size=7)
        (tmp_path / "other").touch()
        assert target.read_bytes() == b"content"
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)

    @pytest.mark.parametrize("chunks", [[], [b"conten"], [b"contend"], [b"content", b"s"]])
    def test_keeps_what_was_there_when_it_refuses(self, tmp_path, chunks):
        """If the content has another size or SHA-256, the existing file is kept and no other file is left."""
        (tmp_path / "target").write_bytes(b"before")
        with pytest.raises(ContentMismatchError):
            save(chunks, tmp_path / "target", sha256=self.SHA256, size=7)
        assert os.listdir(tmp_path) == ["target"]
        assert (tmp_path / "target").read_bytes() == b"before"

    def test_needs_the_directory(self, tmp_path):
        """A missing directory is an OSError."""
        with pytest.raises(FileNotFoundError):
            save([b"x"], tmp_path / "missing/target")


def test_needs_fsspec(monkeypatch):
    """Without fsspec, the import raises an ImportError that names the extra."""
    for name in [name for name in sys.modules if name.startswith("cicd_common.artifacts")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError) as caught:
        importlib.import_module("cicd_common.artifacts")
    assert str(caught.value) == (
        "cicd_common.artifacts needs fsspec, which is not installed; the extra 'artifacts' brings it: "
        "pip install 'cicd-common[artifacts]'"
    )

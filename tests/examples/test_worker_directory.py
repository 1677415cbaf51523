"""The directories in which Workers work, and what cannot be removed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cicd_system.worker.directory import UnfitError, check_room, clear, job_directory, worker_directory


@contextlib.contextmanager
def without_rights(directory):
    """Be somebody whom permissions hold, as root is not, and the owner of a directory."""
    if os.geteuid():
        yield
        return
    os.chown(directory, 65534, -1)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class TestClear:
    def test_folders_that_are_shut(self):
        """A job may shut folders; they are opened and removed, and links are not followed."""
        with TemporaryDirectory() as parent, without_rights(Path(parent)):
            (Path(parent) / "other").mkdir(mode=0o500)
            directory = Path(parent) / "directory"
            (directory / "a" / "b").mkdir(parents=True)
            (directory / "a" / "b" / "f").touch()
            (directory / "link").symlink_to("../other")
            for folder in ("a/b", "a", "."):
                (directory / folder).chmod(0)
            clear(directory)
            assert not directory.exists()
            assert (Path(parent) / "other").stat().st_mode & 0o777 == 0o500

    def test_link_in_its_place(self, tmp_path):
        """A link is removed, and what it leads to stays as it is."""
        (tmp_path / "other" / "folder").mkdir(parents=True, mode=0o500)
        (tmp_path / "other" / "file").touch(mode=0o400)
        (tmp_path / "directory").symlink_to("other")
        clear(tmp_path / "directory")
        assert not (tmp_path / "directory").is_symlink()
        modes = [(tmp_path / "other" / name).stat().st_mode & 0o777 for name in ("folder", "file")]
        assert modes == [0o500, 0o400]

    def test_mounted_folder(self, tmp_path):
        """Files of the machine that a job has mounted, as for a chroot, are not removed."""
        directory = tmp_path / "a directory"
        (directory / "mounted").mkdir(parents=True)
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "file").touch()
        mount = ["mount", "--bind", str(tmp_path / "other"), str(directory / "mounted")]
        if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode:
            pytest.skip("needs the right to mount")
        try:
            clear(directory)
            assert (tmp_path / "other" / "file").exists()
        finally:
            subprocess.run(["umount", str(directory / "mounted")], check=True)
        clear(directory)
        assert not directory.exists()

    def test_folders_that_are_deep(self, tmp_path, monkeypatch, caplog):
        """Folders that are nested more deeply than Python's recursion goes are removed by programs, if they exist."""
        (tmp_path / "directory").mkdir()
        nest = "import os\nfor _ in range(1200): os.mkdir('d'); os.chdir('d')"
        subprocess.run([sys.executable, "-c", nest], cwd=tmp_path / "directory", check=True)
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(tmp_path))
            clear(tmp_path / "directory")
        assert "a directory cannot be removed wholly" in caplog.text
        clear(tmp_path / "directory")
        assert not (tmp_path / "directory").exists()

    def test_no_room(self, tmp_path):
        """A Worker whose directory was deleted is not fit to run jobs."""
        check_room(tmp_path)
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(UnfitError, match="No such file or directory"):
            check_room(tmp_path / "deleted")


class TestWorkerDirectory:
    def test_killed_worker(self, tmp_path):
        """What a killed Worker left is cleared away by the next one, but not what one that lives works in."""
        left = tmp_path / "cicd-worker-left"
        (left / "job" / "copy").mkdir(parents=True)
        (tmp_path / "cicd-worker-file").touch()
        with worker_directory(tmp_path) as first:
            assert not left.exists()
            with worker_directory(tmp_path) as second, job_directory(second, "job") as job:
                (job / "f").touch()
                assert set(tmp_path.iterdir()) == {first, second, tmp_path / "cicd-worker-file"}
            assert not second.exists()
        assert [path.name for path in tmp_path.iterdir()] == ["cicd-worker-file"]

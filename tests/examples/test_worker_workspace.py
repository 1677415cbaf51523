"""Working copies, and what jobs leave in them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess

import pytest
from cicd_system.worker.directory import clear
from cicd_system.worker.reporting import NotRunnableError
from cicd_system.worker.workspace import inside, make_working_copy

from tests.support.examples.attempts import request_of
from tests.support.examples.repositories import git
from tests.support.examples.waiting import until

ALLOWED = ("-c", "protocol.file.allow=always")


class HaltedError(Exception):
    """The job has to stop."""


def halting_after(looks):
    """A function that raises when it was called some times."""
    left = iter(range(looks))

    def go_on():
        if next(left, None) is None:
            raise HaltedError

    return go_on


@contextlib.contextmanager
def working_copy(repo, directory, commit=None, *, submodules=False, go_on=lambda: None, **fields):
    """Make a working copy, and remove it afterwards."""
    request = request_of(repo=str(repo), commit_hash=commit, **{"branch": "HEAD"} | fields)
    make_working_copy(request, directory, directory.parent / "clones", submodules=submodules, go_on=go_on)
    yield directory
    clear(directory)


def is_open(port):
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def files_in(directory):
    """The files in a directory and what is in them, without those of git."""
    found = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if not path.is_dir()}
    return {name: path.read_text() for name, path in found.items() if name.split("/")[0] != ".git"}


def state_of(repository):
    """All that git keeps of a repository."""
    root = repository / ".git" if (repository / ".git").exists() else repository
    return sorted((path.relative_to(root).as_posix(), path.stat().st_mtime_ns) for path in root.rglob("*"))


@pytest.fixture
def repository(tmp_path):
    """Two commits, and then changes of all kinds."""
    directory = tmp_path / "repository"
    directory.mkdir()
    git(directory, "init", "--quiet", "--initial-branch=main")
    (directory / ".gitignore").write_text("ignored\n")
    (directory / "source").write_text("first\n")
    (directory / "gone").write_text("gone\n")
    git(directory, "add", ".")
    git(directory, "commit", "--quiet", "--message=first")
    (directory / "source").write_text("second\n")
    git(directory, "commit", "--quiet", "--all", "--message=second")
    (directory / "source").write_text("changed\n")
    (directory / "sub").mkdir()
    (directory / "sub" / "new").write_text("new\n")
    (directory / "ignored").write_text("ignored\n")
    (directory / "gone").unlink()
    return directory


FIRST = {".gitignore": "ignored\n", "source": "first\n", "gone": "gone\n"}
SECOND = FIRST | {"source": "second\n"}
NOW = {".gitignore": "ignored\n", "source": "changed\n", "sub/new": "new\n"}


@pytest.fixture
def make(tmp_path):
    """Make a working copy, and return what is in it."""

    def make(repo, commit=None, **options):
        with working_copy(repo, tmp_path / "work" / "copy", commit, **options) as copy:
            return files_in(copy)

    (tmp_path / "work").mkdir()
    return make


class TestRepository:
    def test_commits(self, repository, make):
        """The last commit that is checked out, or that of a branch, or any by its name, also if no branch has it."""
        first, second = git(repository, "rev-parse", "HEAD~1"), git(repository, "rev-parse", "HEAD")
        assert make(repository) == make(f"file://{repository}") == make(repository, second) == SECOND
        assert make(repository, first) == make(repository, first[:10]) == FIRST
        git(repository, "checkout", "--quiet", "--force", "-b", "other", first)
        git(repository, "branch", "--quiet", "--force", "main", "HEAD")
        assert make(repository, second) == SECOND
        git(repository, "checkout", "--quiet", "--detach", second)
        assert make(repository) == SECOND
        assert make(repository, branch="other") == FIRST

    def test_by_a_clone_that_is_kept(self, repository, tmp_path):
        """Each copy is fresh, and has the branches and tags that the repository has now."""

        def copies(commit):
            with working_copy(repository, tmp_path / "copy", commit) as copy:
                found = (files_in(copy), git(copy, "rev-parse", "HEAD"), git(copy, "tag"), git(copy, "status", "-s"))
                (copy / "source").write_text("of the job\n")
                (copy / ".git" / "config").write_text("[core]\n")
                git(copy, "tag", "by-the-job")
            return found

        first, second = git(repository, "rev-parse", "HEAD~1"), git(repository, "rev-parse", "HEAD")
        assert copies(first) == (FIRST, first, "", "")
        (kept,) = (tmp_path / "clones").iterdir()
        assert copies(second) == (SECOND, second, "", "")
        assert list((tmp_path / "clones").iterdir()) == [kept]
        git(repository, "tag", "v1", first)
        assert copies("v1") == (FIRST, first, "v1", "")

    def test_clones_that_are_kept(self, repository, tmp_path, monkeypatch):
        """Only the clones that were used last are kept."""
        monkeypatch.setattr("cicd_system.worker.workspace._KEPT", 2)

        def kept():
            with working_copy(repository, tmp_path / "copy"):
                return set((tmp_path / "clones").iterdir())

        (first,) = kept()
        git(repository, "tag", "v1")
        (second,) = kept() - {first}
        git(repository, "tag", "--delete", "v1")
        assert kept() == {first, second}
        git(repository, "tag", "v2")
        (third,) = kept() - {first}
        assert third not in {first, second}

    def test_as_it_is(self, repository, tmp_path):
        """What is not committed is there, but nothing that is ignored. What a job does to it is done to no others."""
        with working_copy(repository, tmp_path / "copy", is_local=True) as copy:
            assert files_in(copy) == NOW
            (copy / "source").write_text("of the job\n")
        assert (repository / "source").read_text() == "changed\n"

    def test_nothing_is_written_to_it(self, repository, tmp_path, make):
        """Also if it is a bare one."""
        git(tmp_path, "clone", "--quiet", "--bare", str(repository), "bare.git")
        for source in (repository, tmp_path / "bare.git"):
            before = state_of(source)
            assert make(source) == SECOND
            assert state_of(source) == before

    def test_alone(self, repository, tmp_path):
        """That of a container shares nothing with the repository, and knows its commits all the same."""
        commit = git(repository, "commit-tree", "HEAD^{tree}", "-m", "of no branch")
        with working_copy(repository, tmp_path / "copy", commit, docker_image="image") as copy:
            repository.rename(tmp_path / "elsewhere")
            assert files_in(copy) == SECOND
            assert git(copy, "log", "--format=%H %s") == f"{commit} of no branch"
            objects = [path for path in (copy / ".git" / "objects").rglob("*") if path.is_file()]
            assert {path.stat().st_nlink for path in objects} == {1}

    def test_elsewhere(self, repository, make, tmp_path):
        """A repository that is elsewhere is cloned; here by a server of git on this machine."""
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))  # Only a server that is given the port can get it, too.
        port = bound.getsockname()[1]
        options = [f"--base-path={tmp_path}", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
        command = ["git", "daemon", "--reuseaddr", *options]
        with bound, subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
            try:
                until(lambda: is_open(port), "the server")
                url = f"git://127.0.0.1:{port}/repository"
                assert make(url, branch="main") == SECOND
                assert make(url, git(repository, "rev-parse", "HEAD~1")) == FIRST
            finally:
                server.terminate()

    def test_starts_nothing(self, repository, tmp_path, make):
        """Programs that are set in the repository are not started."""
        trace = tmp_path / "trace"
        hook = repository / ".git" / "hooks" / "post-checkout"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nenv > {trace}\n")
        hook.chmod(0o755)
        git(repository, "config", "core.fsmonitor", str(hook))
        make(repository)
        make(repository, is_local=True)
        assert not trace.exists()

    def test_from_within_a_hook(self, repository, tmp_path, make, monkeypatch):
        """The repository is the one that was asked for, whatever the Worker's environment says."""
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
        monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
        assert make(repository) == SECOND
        assert make(repository, is_local=True) == NOW


@pytest.fixture
def library(repository, tmp_path):
    """A submodule of the repository, which has one itself."""
    git(repository, "checkout", "--quiet", "--force", "HEAD")
    for name in ("leaf", "library"):
        path = tmp_path / name
        path.mkdir()
        git(path, "init", "--quiet", "--initial-branch=main")
        (path / name).write_text(f"{name}\n")
        if name == "library":
            git(path, *ALLOWED, "submodule", "--quiet", "add", "../leaf", "leaf")
        git(path, "add", ".")
        git(path, "commit", "--quiet", "--message=first")
    git(repository, *ALLOWED, "submodule", "--quiet", "add", str(tmp_path / "library"), "lib")
    git(repository, "commit", "--quiet", "--message=third")
    return repository / "lib"


@pytest.fixture
def files_allowed(monkeypatch):
    """Git may take submodules from repositories on this machine."""
    for name, value in {"COUNT": "1", "KEY_0": "protocol.file.allow", "VALUE_0": "always"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)


def submodules_in(files):
    return {name: text for name, text in files.items() if name.startswith("lib/") and not name.endswith((".git", "s"))}


class TestSubmodules:
    @pytest.mark.usefixtures("files_allowed")
    @pytest.mark.parametrize("image", [None, "image"])
    def test_checked_out(self, repository, library, tmp_path, image):
        """They are there with their own submodules, and the commit of each is the one that was committed.

        The address that the repository has for one counts, not the one that was committed.
        """
        git(library, "commit", "--quiet", "--allow-empty", "--message=newer")
        (tmp_path / "library").rename(tmp_path / "moved")
        git(repository, "config", "submodule.lib.url", str(tmp_path / "moved"))
        git(tmp_path / "moved", "config", "--file", ".gitmodules", "submodule.leaf.url", str(tmp_path / "leaf"))
        with working_copy(repository, tmp_path / "copy", docker_image=image, submodules=True) as copy:
            assert submodules_in(files_in(copy)) == {"lib/library": "library\n", "lib/leaf/leaf": "leaf\n"}
            assert git(copy / "lib", "rev-parse", "HEAD") == git(library, "rev-parse", "HEAD~1")

    @pytest.mark.usefixtures("library")
    def test_not_checked_out(self, repository, make):
        """They are left out if nobody asks for them, and not taken from this machine where nobody has allowed it."""
        assert submodules_in(make(repository)) == submodules_in(make(repository, is_local=True)) == {}
        with pytest.raises(NotRunnableError, match="lib"):
            make(repository, submodules=True)

    def test_as_they_are(self, repository, library, make):
        """With what was changed in them, and without what they ignore or what git keeps in them."""
        (library / "library").write_text("changed\n")
        (library / ".gitignore").write_text("trace\n")
        (library / "trace").touch()
        git(repository, *ALLOWED, "submodule", "--quiet", "update", "--init", "lib")
        found = make(repository, is_local=True, submodules=True)
        assert {name: text for name, text in found.items() if name.startswith("lib")} == {
            "lib/.gitignore": "trace\n",
            "lib/.gitmodules": (library / ".gitmodules").read_text(),
            "lib/library": "changed\n",
        }

    @pytest.mark.usefixtures("library")
    @pytest.mark.parametrize("url", ["ext::touch trace", "ssh://-oProxyCommand=touch%20trace/x"])
    def test_programs(self, repository, make, tmp_path, monkeypatch, url):
        """No address makes git start a program."""
        monkeypatch.chdir(tmp_path)
        git(repository, "config", "submodule.lib.url", url)
        with pytest.raises(NotRunnableError):
            make(repository, submodules=True)
        assert not list(tmp_path.rglob("trace"))


class TestDirectory:
    def test_copy(self, tmp_path, make, monkeypatch):
        """A directory without git is copied; it has no commits."""
        (tmp_path / "plain" / "sub").mkdir(parents=True)
        (tmp_path / "plain" / "sub" / "file").write_text("text\n")
        for is_local in (False, True):
            assert make(tmp_path / "plain", is_local=is_local) == {"sub/file": "text\n"}
        with pytest.raises(NotRunnableError, match="no git repository"):
            make(tmp_path / "plain", "abc")
        (tmp_path / "cp").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "cp").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(NotRunnableError, match="cannot be copied"):
            make(tmp_path / "plain")

    def test_not_into_itself(self, tmp_path, make):
        """What has the working copies in it would be copied for ever."""
        with pytest.raises(NotRunnableError, match="made in it"):
            make(tmp_path)


class TestHalted:
    def test_at_each_step(self, repository, tmp_path, make):
        """A working copy is given up at each step. A clone that was given up is not used."""
        (tmp_path / "plain").mkdir()
        steps = [(repository, False, 0), (repository, True, 0), (repository, True, 1), (tmp_path / "plain", False, 0)]
        for repo, is_local, looks in [*steps, (repository, False, 1)]:
            with pytest.raises(HaltedError):
                make(repo, is_local=is_local, go_on=halting_after(looks))
            clear(tmp_path / "work" / "copy")
        assert make(repository) == SECOND

    def test_huge_file(self, repository, make, tmp_path, monkeypatch):
        """The copying of a file that takes long is stopped; holes in a file take no room in the copy."""
        (repository / "huge").touch()
        os.truncate(repository / "huge", 1024**3)
        with working_copy(repository, tmp_path / "copy", is_local=True) as copy:
            state = (copy / "huge").stat()
            assert state.st_size == 1024**3
            assert state.st_blocks < 1024
        (tmp_path / "cp").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 1000\n")
        (tmp_path / "cp").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        with pytest.raises(HaltedError):
            make(repository, is_local=True, go_on=lambda: (tmp_path / "started").exists() and halting_after(0)())


class TestRefused:
    @pytest.mark.parametrize(
        "repo",
        ["/no/such/directory", "relative", "", "--upload-pack=touch${IFS}trace", "http://[", "a\0b", "file:///no/such"],
    )
    def test_no_directory(self, repo, make):
        with pytest.raises(NotRunnableError, match="directory"):
            make(repo)

    @pytest.mark.parametrize("repo", ["ext::touch trace", "fd::3", "ssh://-oProxyCommand=touch%20trace/x"])
    def test_programs(self, repo, make, tmp_path, monkeypatch):
        """No address makes git start a program."""
        monkeypatch.chdir(tmp_path)
        with pytest.raises(NotRunnableError):
            make(repo)
        assert not list(tmp_path.rglob("trace"))

    def test_no_commit(self, repository, make):
        """Only what may be the name of a commit is passed to git."""
        for commit in ("--upload-pack=touch trace", "-b", "", "a b", "HEAD\n", "$(touch trace)"):
            with pytest.raises(NotRunnableError, match="name of a commit"):
                make(repository, commit)
        with pytest.raises(NotRunnableError, match="ffff"):
            make(repository, "f" * 40)

    def test_password(self, make):
        """The password of an address is not told."""
        with pytest.raises(NotRunnableError) as caught:
            make("http://user:hunter2hunter2@127.0.0.1:1/x.git")
        assert "hunter2hunter2" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("path", ["..", "/etc", "a/../..", "link", "link/sub", "missing", "file", "a\0b", "loop"])
def test_inside(tmp_path, path):
    """A working directory is a directory in the working copy, also by way of links."""
    root = tmp_path / "root"
    (tmp_path / "sub").mkdir()
    (root / "a").mkdir(parents=True)
    (root / "file").touch()
    (root / "link").symlink_to("..")
    (root / "loop").symlink_to("loop")
    assert inside(root, None) == inside(root, "a/./..") == root
    assert inside(root, "a") == root / "a"
    with pytest.raises(NotRunnableError, match="working directory"):
        inside(root, path)

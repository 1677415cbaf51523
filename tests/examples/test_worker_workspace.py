"""Working copies, and what jobs leave in them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cicd_system.worker.directory import clear
from cicd_system.worker.reporting import NotRunnableError
from cicd_system.worker.workspace import inside, make_working_copy

from tests.support.examples.attempts import request_of
from tests.support.examples.waiting import until


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
def working_copy(
    repo, commit, directory, *, branch="HEAD", as_it_is=False, is_alone=False, submodules=False, clones=None, go_on=None
):
    """Make a working copy, and remove it afterwards."""
    image = "image" if is_alone else None
    request = request_of(repo=repo, commit_hash=commit, branch=branch, is_local=as_it_is, docker_image=image)
    clones = clones or directory.parent / "clones"
    make_working_copy(request, directory, clones, submodules=submodules, go_on=go_on or (lambda: None))
    yield directory
    clear(directory)


def is_open(port):
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def git(directory, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


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
        with working_copy(str(repo), commit, tmp_path / "work" / "copy", **options) as copy:
            return files_in(copy)

    (tmp_path / "work").mkdir()
    return make


class TestRepository:
    def test_last_commit(self, repository, make):
        assert make(repository) == SECOND
        assert make(f"file://{repository}") == SECOND

    def test_commit(self, repository, make):
        commit = git(repository, "rev-parse", "HEAD~1")
        assert make(repository, commit) == FIRST
        assert make(repository, commit[:10]) == FIRST

    def test_by_a_clone_that_is_kept(self, repository, tmp_path):
        """Each copy is fresh, and has the branches and tags that the repository has now."""

        def copies(commit):
            with working_copy(str(repository), commit, tmp_path / "copy") as copy:
                found = (files_in(copy), git(copy, "rev-parse", "HEAD"), git(copy, "tag"), git(copy, "status", "-s"))
                (copy / "source").write_text("of the job\n")
                (copy / ".git" / "config").write_text("[core]\n")
                git(copy, "tag", "by-the-job")
            return found

        first, second = git(repository, "rev-parse", "HEAD~1"), git(repository, "rev-parse", "HEAD")
        assert copies(first) == (FIRST, first, "", "")
        (kept,) = (tmp_path / "clones").iterdir()
        assert copies(second) == (SECOND, second, "", "")
        assert copies(None) == (SECOND, second, "", "")
        assert list((tmp_path / "clones").iterdir()) == [kept]
        git(repository, "tag", "v1", first)
        assert copies("v1") == (FIRST, first, "v1", "")
        with pytest.raises(NotRunnableError):
            copies("0" * 40)

    def test_clones_that_are_kept(self, repository, tmp_path, monkeypatch):
        """Only the clones that were used last are kept."""
        monkeypatch.setattr("cicd_system.worker.workspace._KEPT", 2)

        def kept():
            with working_copy(str(repository), None, tmp_path / "copy"):
                return set((tmp_path / "clones").iterdir())

        (first,) = kept()
        git(repository, "tag", "v1")
        (second,) = kept() - {first}
        git(repository, "tag", "--delete", "v1")
        assert kept() == {first, second}
        git(repository, "tag", "v2")
        (third,) = kept() - {first}
        assert third not in {first, second}

    def test_as_it_is(self, repository, make):
        """What is not committed is there, but nothing that is ignored."""
        assert make(repository, as_it_is=True) == NOW

    def test_nothing_stays(self, repository, make):
        """Nothing is written to the repository."""
        before = state_of(repository)
        make(repository)
        assert state_of(repository) == before
        assert (repository / "source").read_text() == "changed\n"

    def test_is_apart(self, repository, tmp_path):
        """What a job does to its files is done to no others."""
        with working_copy(str(repository), None, tmp_path / "copy", as_it_is=True) as copy:
            (copy / "source").write_text("of the job\n")
        assert (repository / "source").read_text() == "changed\n"

    def test_two_at_once(self, repository, tmp_path):
        """The end of one is not that of another."""
        with working_copy(str(repository), None, tmp_path / "one") as one:
            with working_copy(str(repository), None, tmp_path / "two") as two:
                assert files_in(two) == SECOND
            assert git(one, "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD")

    def test_bare(self, repository, tmp_path, make):
        git(tmp_path, "clone", "--quiet", "--bare", str(repository), "bare.git")
        before = state_of(tmp_path / "bare.git")
        assert make(tmp_path / "bare.git") == SECOND
        assert state_of(tmp_path / "bare.git") == before

    def test_commit_of_no_branch(self, repository, make):
        """And a branch that is not checked out, by its name."""
        lost = git(repository, "rev-parse", "HEAD")
        git(repository, "checkout", "--quiet", "--force", "-b", "other", "HEAD~1")
        git(repository, "branch", "--quiet", "--force", "main", "HEAD")
        assert make(repository, lost) == SECOND
        git(repository, "checkout", "--quiet", "--detach", lost)
        assert make(repository) == SECOND
        assert make(repository, branch="other") == FIRST

    def test_alone(self, repository, tmp_path):
        """One that is to do without the repository shares nothing with it, and knows its commits all the same."""
        commit = git(repository, "commit-tree", "HEAD^{tree}", "-m", "of no branch")
        target = tmp_path / "copy"
        with working_copy(str(repository), commit, target, is_alone=True) as copy:
            repository.rename(tmp_path / "elsewhere")
            assert files_in(copy) == SECOND
            assert git(copy, "rev-parse", "HEAD") == commit
            objects = [path for path in (copy / ".git" / "objects").rglob("*") if path.is_file()]
            assert objects
            assert {path.stat().st_nlink for path in objects} == {1}

    def test_many_at_once(self, repository, tmp_path):
        """Working copies of one repository do not get in each other's way."""

        def use(number):
            clones = tmp_path / f"clones-{number}"
            with working_copy(str(repository), None, tmp_path / f"copy-{number}", clones=clones) as copy:
                return files_in(copy)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(use, range(60))) == [SECOND] * 60

    def test_elsewhere(self, repository, make, tmp_path):
        """A repository that is elsewhere is cloned; here by a server of git on this machine."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = [f"--base-path={tmp_path}", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
        with subprocess.Popen(["git", "daemon", "--reuseaddr", *options], stderr=subprocess.DEVNULL) as server:
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
        make(repository, as_it_is=True)
        assert not trace.exists()

    def test_from_within_a_hook(self, repository, tmp_path, make, monkeypatch):
        """The repository is the one that was asked for, whatever the Worker's environment says."""
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
        monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
        assert make(repository) == SECOND
        assert make(repository, as_it_is=True) == NOW


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
            git(path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../leaf", "leaf")
        git(path, "add", ".")
        git(path, "commit", "--quiet", "--message=first")
    add = ("submodule", "--quiet", "add", str(tmp_path / "library"), "lib")
    git(repository, "-c", "protocol.file.allow=always", *add)
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
    @pytest.mark.parametrize("is_alone", [False, True])
    def test_checked_out(self, repository, library, tmp_path, is_alone):
        """They are there with their own submodules, and the commit of each is the one that was committed."""
        git(library, "commit", "--quiet", "--allow-empty", "--message=newer")
        with working_copy(str(repository), None, tmp_path / "copy", is_alone=is_alone, submodules=True) as copy:
            assert submodules_in(files_in(copy)) == {"lib/library": "library\n", "lib/leaf/leaf": "leaf\n"}
            assert git(copy / "lib", "rev-parse", "HEAD") == git(library, "rev-parse", "HEAD~1")

    @pytest.mark.usefixtures("library")
    def test_not_asked_for(self, repository, make):
        assert submodules_in(make(repository)) == {}
        assert submodules_in(make(repository, as_it_is=True)) == {}

    @pytest.mark.usefixtures("library")
    def test_of_this_machine(self, repository, make):
        """One that is on this machine is not taken where nobody has allowed it."""
        with pytest.raises(NotRunnableError, match="lib"):
            make(repository, submodules=True)

    @pytest.mark.usefixtures("files_allowed")
    def test_known_address(self, repository, library, tmp_path, make):
        """The address that the repository has for one counts, not the one that was committed."""
        (tmp_path / "library").rename(tmp_path / "moved")
        git(repository, "config", "submodule.lib.url", str(tmp_path / "moved"))
        git(tmp_path / "moved", "config", "--file", ".gitmodules", "submodule.leaf.url", str(tmp_path / "leaf"))
        assert submodules_in(make(repository, submodules=True))["lib/library"] == "library\n"
        assert library.exists()

    def test_as_they_are(self, repository, library, make):
        """With what was changed in them, and without what they ignore or what git keeps in them."""
        (library / "library").write_text("changed\n")
        (library / ".gitignore").write_text("trace\n")
        (library / "trace").touch()
        git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "lib")
        found = make(repository, as_it_is=True, submodules=True)
        assert {name: text for name, text in found.items() if name.startswith("lib")} == {
            "lib/.gitignore": "trace\n",
            "lib/.gitmodules": (library / ".gitmodules").read_text(),
            "lib/library": "changed\n",
        }

    @pytest.mark.parametrize("url", ["ext::touch trace", "ssh://-oProxyCommand=touch%20trace/x"])
    def test_programs(self, repository, library, make, tmp_path, monkeypatch, url):
        """No address makes git start a program."""
        monkeypatch.chdir(tmp_path)
        git(repository, "config", "submodule.lib.url", url)
        with pytest.raises(NotRunnableError):
            make(repository, submodules=True)
        assert not list(tmp_path.rglob("trace"))
        assert library.exists()


class TestDirectory:
    def test_copy(self, tmp_path, make):
        source = tmp_path / "plain"
        (source / "sub").mkdir(parents=True)
        (source / "sub" / "file").write_text("text\n")
        assert make(source) == {"sub/file": "text\n"}
        assert make(source, as_it_is=True) == {"sub/file": "text\n"}

    def test_has_no_commits(self, tmp_path, make):
        (tmp_path / "plain").mkdir()
        with pytest.raises(NotRunnableError, match="no git repository"):
            make(tmp_path / "plain", "abc")

    def test_not_into_itself(self, tmp_path, make):
        """What has the working copies in it would be copied for ever."""
        with pytest.raises(NotRunnableError, match="made in it"):
            make(tmp_path)

    def test_not_to_be_copied(self, tmp_path, make, monkeypatch):
        """The reason is in the log of the job."""
        (tmp_path / "plain").mkdir()
        (tmp_path / "cp").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "cp").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(NotRunnableError, match="cannot be copied"):
            make(tmp_path / "plain")


class TestHalted:
    @pytest.mark.parametrize("as_it_is", [False, True])
    @pytest.mark.parametrize("looks", range(2))
    def test_repository(self, repository, make, as_it_is, looks):
        """A working copy is given up at each step."""
        with pytest.raises(HaltedError):
            make(repository, as_it_is=as_it_is, go_on=halting_after(looks))

    def test_directory(self, tmp_path, make):
        (tmp_path / "plain").mkdir()
        with pytest.raises(HaltedError):
            make(tmp_path / "plain", go_on=halting_after(0))

    def test_huge_file(self, repository, make, tmp_path, monkeypatch):
        """The copying of a file that takes long is stopped; holes in a file take no room in the copy."""
        (repository / "huge").touch()
        os.truncate(repository / "huge", 1024**3)
        with working_copy(str(repository), None, tmp_path / "copy", as_it_is=True) as copy:
            state = (copy / "huge").stat()
            assert state.st_size == 1024**3
            assert state.st_blocks < 1024
        (tmp_path / "cp").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 1000\n")
        (tmp_path / "cp").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        with pytest.raises(HaltedError):
            make(repository, as_it_is=True, go_on=lambda: (tmp_path / "started").exists() and halting_after(0)())

    def test_clone_that_is_kept(self, repository, make):
        """A clone that was given up is not used."""
        with pytest.raises(HaltedError):
            make(repository, go_on=halting_after(1))
        assert make(repository) == SECOND


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
        assert not Path("trace").exists()

    @pytest.mark.parametrize("commit", ["--upload-pack=touch trace", "-b", "", "a b", "HEAD\n", "$(touch trace)"])
    def test_no_name_of_a_commit(self, repository, make, commit):
        with pytest.raises(NotRunnableError, match="name of a commit"):
            make(repository, commit)

    def test_unknown_commit(self, repository, make):
        with pytest.raises(NotRunnableError):
            make(repository, "f" * 40)

    def test_password(self, make):
        """The password of an address is not told."""
        with pytest.raises(NotRunnableError) as caught:
            make("http://user:hunter2hunter2@127.0.0.1:1/x.git")
        assert "hunter2hunter2" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)


class TestInside:
    def test_directory(self, tmp_path):
        (tmp_path / "a" / "b").mkdir(parents=True)
        assert inside(tmp_path, None) == tmp_path
        assert inside(tmp_path, "a/./b/..") == tmp_path / "a"

    @pytest.mark.parametrize("path", ["..", "/etc", "a/../..", "link", "link/sub", "missing", "file", "a\0b", "loop"])
    def test_none(self, tmp_path, path):
        root = tmp_path / "root"
        (tmp_path / "sub").mkdir()
        (root / "a").mkdir(parents=True)
        (root / "file").touch()
        (root / "link").symlink_to("..")
        (root / "loop").symlink_to("loop")
        with pytest.raises(NotRunnableError, match="working directory"):
            inside(root, path)

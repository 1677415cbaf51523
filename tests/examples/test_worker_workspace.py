"""Working copies, and what jobs leave in them."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cicd_system.worker.clones import Clones
from cicd_system.worker.tools import HaltedError, Tools
from cicd_system.worker.workspace import WorkspaceError, inside, working_copy

GOING_ON = Tools(lambda: False)


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
    """Make a working copy, and say what is in it."""

    def make(repo, commit=None, *, as_it_is=False, submodules=False):
        directory = tmp_path / "work" / "copy"
        directory.parent.mkdir(exist_ok=True)
        try:
            with working_copy(
                str(repo), commit, directory, as_it_is=as_it_is, submodules=submodules, tools=GOING_ON
            ) as copy:
                return files_in(copy)
        finally:
            assert not directory.exists()

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
        clones = Clones(tmp_path)

        def copies(commit):
            target = tmp_path / "copy"
            with working_copy(str(repository), commit, target, as_it_is=False, tools=GOING_ON, clones=clones) as copy:
                found = (files_in(copy), git(copy, "rev-parse", "HEAD"), git(copy, "tag"), git(copy, "status", "-s"))
                (copy / "source").write_text("of the job\n")
                (copy / ".git" / "hooks" / "pre-commit").write_text("exit 1\n")
                git(copy, "tag", "by-the-job")
            return found

        first, second = git(repository, "rev-parse", "HEAD~1"), git(repository, "rev-parse", "HEAD")
        assert copies(first) == (FIRST, first, "", "")
        assert copies(second) == (SECOND, second, "", "")
        assert copies(None) == (SECOND, second, "", "")
        git(repository, "tag", "v1", first)
        assert copies("v1") == (FIRST, first, "v1", "")
        with pytest.raises(WorkspaceError):
            copies("0" * 40)

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
        with working_copy(str(repository), None, tmp_path / "copy", as_it_is=True, tools=GOING_ON) as copy:
            (copy / "source").write_text("of the job\n")
        assert (repository / "source").read_text() == "changed\n"

    def test_two_at_once(self, repository, tmp_path):
        """The end of one is not that of another."""
        with working_copy(str(repository), None, tmp_path / "one", as_it_is=False, tools=GOING_ON) as one:
            with working_copy(str(repository), None, tmp_path / "two", as_it_is=False, tools=GOING_ON) as two:
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
        assert make(repository, "other") == FIRST

    def test_alone(self, repository, tmp_path):
        """One that is to do without the repository shares nothing with it, and knows its commits all the same."""
        commit = git(repository, "commit-tree", "HEAD^{tree}", "-m", "of no branch")
        target = tmp_path / "copy"
        with working_copy(str(repository), commit, target, as_it_is=False, is_alone=True, tools=GOING_ON) as copy:
            repository.rename(tmp_path / "elsewhere")
            assert files_in(copy) == SECOND
            assert git(copy, "rev-parse", "HEAD") == commit
            objects = [path for path in (copy / ".git" / "objects").rglob("*") if path.is_file()]
            assert objects
            assert {path.stat().st_nlink for path in objects} == {1}

    def test_many_at_once(self, repository, tmp_path):
        """Working copies of one repository do not get in each other's way."""

        def use(number):
            with working_copy(
                str(repository), None, tmp_path / f"copy-{number}", as_it_is=False, tools=GOING_ON
            ) as copy:
                return files_in(copy)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(use, range(60))) == [SECOND] * 60

    def test_clone(self, repository, tmp_path):
        """A repository that is elsewhere is cloned. Here that is a file, which only git can read."""
        git(repository, "bundle", "create", "--quiet", str(tmp_path / "bundle"), "HEAD", "main")
        commit = git(repository, "rev-parse", "HEAD~1")
        from cicd_system.worker import workspace

        for name, files in [(None, SECOND), (commit, FIRST)]:
            target = tmp_path / f"copy-{name}"
            workspace._clone(GOING_ON, str(tmp_path / "bundle"), name, "main", target)
            assert files_in(target) == files

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
        with working_copy(
            str(repository), None, tmp_path / "copy", as_it_is=False, is_alone=is_alone, submodules=True, tools=GOING_ON
        ) as copy:
            assert submodules_in(files_in(copy)) == {"lib/library": "library\n", "lib/leaf/leaf": "leaf\n"}
            assert git(copy / "lib", "rev-parse", "HEAD") == git(library, "rev-parse", "HEAD~1")

    @pytest.mark.usefixtures("library")
    def test_not_asked_for(self, repository, make):
        assert submodules_in(make(repository)) == {}
        assert submodules_in(make(repository, as_it_is=True)) == {}

    @pytest.mark.usefixtures("library")
    def test_of_this_machine(self, repository, make):
        """One that is on this machine is not taken where nobody has allowed it."""
        with pytest.raises(WorkspaceError, match="lib"):
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
        with pytest.raises(WorkspaceError):
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
        with pytest.raises(WorkspaceError, match="no git repository"):
            make(tmp_path / "plain", "abc")

    def test_not_into_itself(self, tmp_path, make):
        """What has the working copies in it would be copied for ever."""
        with pytest.raises(WorkspaceError, match="made in it"):
            make(tmp_path)

    def test_not_to_be_copied(self, tmp_path, make):
        (tmp_path / "plain").mkdir()
        os.mkfifo(tmp_path / "plain" / "pipe")
        with pytest.raises(WorkspaceError, match="cannot be copied"):
            make(tmp_path / "plain")


class TestHalted:
    @pytest.mark.parametrize("as_it_is", [False, True])
    @pytest.mark.parametrize("looks", range(3))
    def test_nothing_stays(self, repository, tmp_path, as_it_is, looks):
        """Wherever it is given up, nothing is left."""
        answers = iter([False] * looks)
        halted = working_copy(
            str(repository), None, tmp_path / "copy", as_it_is=as_it_is, tools=Tools(lambda: next(answers, True))
        )
        with pytest.raises(HaltedError), halted:
            pass
        assert not (tmp_path / "copy").exists()

    def test_directory(self, tmp_path):
        """So it is for what git does not know."""
        source = tmp_path / "source"
        source.mkdir()
        (source / "a").touch()
        halted = working_copy(str(source), None, tmp_path / "copy", as_it_is=True, tools=Tools(lambda: True))
        with pytest.raises(HaltedError), halted:
            pass
        assert not (tmp_path / "copy").exists()


class TestRefused:
    @pytest.mark.parametrize(
        "repo",
        ["/no/such/directory", "relative", "", "--upload-pack=touch${IFS}trace", "http://[", "a\0b", "file:///no/such"],
    )
    def test_no_directory(self, repo, make):
        with pytest.raises(WorkspaceError, match="directory"):
            make(repo)

    @pytest.mark.parametrize("repo", ["ext::touch trace", "fd::3", "ssh://-oProxyCommand=touch%20trace/x"])
    def test_programs(self, repo, make, tmp_path, monkeypatch):
        """No address makes git start a program."""
        monkeypatch.chdir(tmp_path)
        with pytest.raises(WorkspaceError):
            make(repo)
        assert not Path("trace").exists()

    @pytest.mark.parametrize("commit", ["--upload-pack=touch trace", "-b", "", "a b", "HEAD\n", "$(touch trace)"])
    def test_no_name_of_a_commit(self, repository, make, commit):
        with pytest.raises(WorkspaceError, match="name of a commit"):
            make(repository, commit)

    def test_unknown_commit(self, repository, make):
        with pytest.raises(WorkspaceError):
            make(repository, "f" * 40)

    def test_password(self, make):
        """The password of an address is not told."""
        with pytest.raises(WorkspaceError) as caught:
            make("http://user:hunter2hunter2@127.0.0.1:1/x.git")
        assert "hunter2hunter2" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)

    def test_git_knows_no_secret(self, repository, make, monkeypatch, tmp_path):
        """The program gets nothing of the environment that is for the Worker alone."""
        program = tmp_path / "bin" / "git"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nenv > {tmp_path}/trace\nexit 1\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("CICD_TOKEN", "hunter2hunter2")
        with pytest.raises(WorkspaceError):
            make(repository)
        assert "CICD_" not in (tmp_path / "trace").read_text()


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
        with pytest.raises(WorkspaceError, match="working directory"):
            inside(root, path)

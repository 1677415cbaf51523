"""The Backend finds the commit of a branch once, so that all jobs of a run are for the same one."""

import subprocess

import pytest
from attrs import evolve
from cicd_system.git import RepositoryError, commit_of, what_git_says

from tests.support.examples.backend_in_process import backend_on, order, simple

EXECUTE = "/api/pipeline/execute"


def git(repository, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=repository, check=True, capture_output=True, encoding="utf-8"
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with the branches main and other, of one commit each."""
    path = tmp_path / "source"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    git(path, "commit", "--quiet", "--allow-empty", "-m", "first")
    git(path, "checkout", "--quiet", "-b", "other")
    git(path, "commit", "--quiet", "--allow-empty", "-m", "second")
    return path


@pytest.fixture
def pipeline(repository):
    return evolve(simple("app", "a", "b"), repo_url=str(repository))


@pytest.fixture
def backend():
    with backend_on(commit_of=commit_of) as backend:
        yield backend


def test_a_run_is_for_the_head_of_its_branch(backend, repository, pipeline):
    """The branch is that of the request or of the definition, which may be stored already."""
    for number, branch in enumerate(("main", "other"), 1):
        definition = evolve(simple("app"), repo_url=pipeline.repo_url, branch=branch)
        backend.post(EXECUTE, order(pipeline, branch=branch))
        backend.post(EXECUTE, order(definition))
        backend.post(EXECUTE, order(None, repo=pipeline.repo_url, pipeline_id=definition.id))
        commits = [job.commit_hash for job in backend.queue.jobs]
        assert len(commits) == 3 * number
        assert set(commits[-3:]) == {git(repository, "rev-parse", branch)}
    run, *_ = backend.ask("GET", "/api/report/pipeline/app").json()["executions"]
    assert (run["branch"], run["commit_hash"]) == ("other", commits[-1])


def test_a_commit_that_is_named_is_taken(backend, pipeline):
    """The commit of the request or of the definition is used; a local run has none."""
    backend.post(EXECUTE, order(pipeline, commit_hash="c" * 40))
    backend.post(EXECUTE, order(evolve(simple("two"), repo_url=pipeline.repo_url, commit_hash="d" * 40)))
    backend.post(EXECUTE, order(pipeline, is_local=True))
    assert [job.commit_hash for job in backend.queue.jobs] == ["c" * 40, "d" * 40, None]


def test_a_branch_that_is_not_there_is_refused(backend, repository, pipeline):
    """But a request that is repeated after its branch has gone is answered with the run that it has started."""
    asked = order(pipeline, branch="main")
    first = backend.post(EXECUTE, asked)
    git(repository, "branch", "--quiet", "-D", "main")
    again = backend.post(EXECUTE, asked)
    assert (again.status_code, again.json()) == (200, first.json())
    answer = backend.post(EXECUTE, order(pipeline, branch="main"))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/branch")
    assert len(backend.queue.jobs) == 1


def test_another_repository_is_refused_before_it_is_asked(backend, repository):
    """A request that names another repository than the definition reaches neither."""
    pipeline = evolve(simple(), repo_url="https://127.0.0.1:9/none.git")
    assert backend.post(EXECUTE, order(pipeline, repo=str(repository))).status_code == 409


def test_commits_of_repositories(repository, tmp_path):
    """A repository may be bare; a directory without git has no commit, and what does not answer is an error."""
    bare, directory = tmp_path / "bare", tmp_path / "directory"
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(bare))
    directory.mkdir()
    assert commit_of(str(bare), "main") == git(repository, "rev-parse", "main")
    assert commit_of(str(directory), "main") is None
    with pytest.raises(RepositoryError):
        commit_of("https://127.0.0.1:9/none.git", "main")


def test_what_git_says():
    """The error is shown without the advice that follows it, and without passwords."""
    said = b"warning: x\nfatal: unable to access 'https://me:secret@example.org/'\n\nand the repository exists.\n"
    assert what_git_says(said) == "fatal: unable to access 'https://***@example.org/'"

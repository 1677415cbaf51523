"""The Backend finds the commit of a branch once, so that all jobs of a run are for the same one."""

import subprocess

import pytest
from attrs import evolve
from cicd_system.git import RepositoryError, commit_of, what_git_says

from cicd_common.store import ExecutionStore
from tests.support.examples.backend_in_process import Backend, order, simple


@pytest.fixture
def repository(tmp_path):
    """A repository with the branches main and other, of one commit each."""
    path = tmp_path / "source"
    path.mkdir()
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (
        ["init", "--quiet", "--initial-branch=main"],
        [*identity, "commit", "--quiet", "--allow-empty", "-m", "first"],
        ["checkout", "--quiet", "-b", "other"],
        [*identity, "commit", "--quiet", "--allow-empty", "-m", "second"],
    ):
        subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True)
    return path


@pytest.fixture
def backend():
    with ExecutionStore("sqlite://") as store:
        backend = Backend(store, commit_of=commit_of)
        yield backend
        backend.close()


def head(repository, branch):
    done = subprocess.run(["git", "rev-parse", branch], cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("branch", ["main", "other"])
def test_a_run_is_for_the_head_of_its_branch(backend, repository, branch):
    """Its jobs get the commit."""
    pipeline = evolve(simple("app", "a", "b"), repo_url=str(repository))
    assert backend.post("/api/pipeline/execute", order(pipeline, branch=branch)).status_code == 201
    assert [job.commit_hash for job in backend.queue.jobs] == [head(repository, branch)]
    (run,) = backend.ask("GET", "/api/report/pipeline/app").json()["executions"]
    assert (run["branch"], run["commit_hash"]) == (branch, head(repository, branch))


def test_a_stored_pipeline_runs_its_branch(backend, repository):
    """A request by id is for the branch of the definition, if it names none."""
    pipeline = evolve(simple(), repo_url=str(repository), branch="other")
    backend.post("/api/pipeline/execute", order(pipeline))
    again = order(None, repo=pipeline.repo_url, pipeline_id=pipeline.id)
    assert backend.post("/api/pipeline/execute", again).status_code == 201
    assert {job.commit_hash for job in backend.queue.jobs} == {head(repository, "other")}


def test_a_commit_that_is_named_is_taken(backend, repository):
    """The commit of the request or of the definition is used; a local run has none."""
    pipeline = evolve(simple(), repo_url=str(repository))
    backend.post("/api/pipeline/execute", order(pipeline, commit_hash="c" * 40))
    backend.post("/api/pipeline/execute", order(evolve(simple("two"), repo_url=str(repository), commit_hash="d" * 40)))
    backend.post("/api/pipeline/execute", order(pipeline, is_local=True))
    assert [job.commit_hash for job in backend.queue.jobs] == ["c" * 40, "d" * 40, None]


def test_a_branch_that_is_not_there_is_refused(backend, repository):
    """The run is refused."""
    pipeline = evolve(simple(), repo_url=str(repository))
    answer = backend.post("/api/pipeline/execute", order(pipeline, branch="none"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/branch"
    assert backend.queue.jobs == []


def test_a_run_that_was_started_stays_so(backend, repository):
    """A request that is repeated after its branch has gone is answered with the run that it has started."""
    pipeline = evolve(simple(), repo_url=str(repository))
    asked = order(pipeline, branch="main")
    first = backend.post("/api/pipeline/execute", asked)
    subprocess.run(["git", "branch", "--quiet", "-D", "main"], cwd=repository, check=True, capture_output=True)
    again = backend.post("/api/pipeline/execute", asked)
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(backend.queue.jobs) == 1


def test_another_repository_is_refused_before_it_is_asked(backend, repository):
    """A request that names another repository than the definition reaches neither."""
    pipeline = evolve(simple(), repo_url="https://127.0.0.1:9/none.git")
    assert backend.post("/api/pipeline/execute", order(pipeline, repo=str(repository))).status_code == 409
    unknown = order(None, repo=str(repository), file_path="pipeline.yaml")
    assert backend.post("/api/pipeline/execute", unknown).status_code == 404


def test_a_directory_without_git_has_no_commit(tmp_path):
    assert commit_of(str(tmp_path), "main") is None
    with pytest.raises(RepositoryError):
        commit_of("https://127.0.0.1:9/none.git", "main")


def test_a_bare_repository_has_commits(repository, tmp_path):
    """The branches of a repository without a working copy are found, too."""
    bare = tmp_path / "bare"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(repository), str(bare)], check=True)
    assert commit_of(str(bare), "main") == head(repository, "main")


def test_what_git_says():
    """The error is shown without the advice that follows it, and without passwords."""
    said = b"warning: x\nfatal: unable to access 'https://me:secret@example.org/'\n\nand the repository exists.\n"
    assert what_git_says(said) == "fatal: unable to access 'https://***@example.org/'"

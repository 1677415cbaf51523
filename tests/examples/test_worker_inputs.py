"""Artifacts travel from the job that left them to the jobs that depend on it."""

from hashlib import sha256

import pytest
from attrs import evolve

from cicd_common import ExecutionStatus
from cicd_common.api.request import Artifact, ArtifactUploadRequest
from cicd_common.model import Job, Pipeline, Stage
from tests.support.examples.attempts import bench_in

FAILED, SUCCESS = ExecutionStatus.FAILED, ExecutionStatus.SUCCESS


@pytest.fixture
def bench(tmp_path):
    with bench_in(tmp_path) as bench:
        yield bench


def pair(bench, first, second):
    """Run a job that leaves all that is in `dist`, and return the request of one that depends on it."""
    jobs = (
        Job(name="first", script=(first,), artifacts=("dist",)),
        Job(name="second", script=(second,), dependencies=("first",)),
    )
    pipeline = Pipeline(name="pair", repo_url=str(bench.repository), stages=(Stage(name="one", jobs=jobs),))
    (request,) = bench.store.start(pipeline).jobs
    bench.attempt(request)
    run = bench.store.execution(request.pipeline_execution_id)
    second = run.stages[0].jobs[1]
    return evolve(
        request,
        job_execution_id=second.id,
        job_name="second",
        commands=second.job.script,
        artifacts=(),
        inputs=(request.job_execution_id,),
    )


def test_files_are_in_the_working_copy(bench):
    """At their paths, whole, also empty ones and large ones."""
    made = "mkdir -p dist/deep && seq 1 200000 > dist/deep/numbers && touch dist/empty"
    job = pair(bench, made, "tail -n 1 dist/deep/numbers && test -f dist/empty && sha256sum dist/deep/numbers")
    bench.attempt(job)
    assert bench.end(job) == (SUCCESS, 0)
    numbers = "".join(f"{number}\n" for number in range(1, 200_001)).encode()
    assert f"200000\n{sha256(numbers).hexdigest()}  dist/deep/numbers\n" in bench.log(job)


def test_content_that_is_not_kept_is_told(bench):
    """The job does not run without what it needs."""
    job = pair(bench, "mkdir dist && echo here > dist/here", "echo it runs")
    lost = Artifact(path="dist/lost", size=1, sha256="0" * 64)
    bench.store.add_artifacts(ArtifactUploadRequest(job_execution_id=job.inputs[0], artifacts=(lost,)))
    bench.attempt(job)
    assert bench.end(job) == (FAILED, None)
    assert "the content of the artifact 'dist/lost' is not kept" in bench.log(job)
    assert "it runs" not in bench.log(job)


@pytest.mark.parametrize("place", ["dist", "dist/here"])
def test_a_link_does_not_lead_out(bench, place, tmp_path):
    """A repository whose folder or file is a link gets nothing written elsewhere."""
    job = pair(bench, "mkdir -p dist && echo here > dist/here", "true")
    outside = tmp_path / "outside"
    outside.mkdir()
    link = bench.repository / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside if place == "dist" else outside / "here")
    bench.attempt(job)
    assert bench.end(job) == (FAILED, None)
    assert "leads out of the working copy" in bench.log(job)
    assert list(outside.iterdir()) == []

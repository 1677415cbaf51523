"""Create the databases of version 0.1 for the tests of migrations. The program needs the code of version 0.1.

    PYTHONPATH=CHECKOUT_OF_0.1 python make_0_1.py sqlite:///0.1.db 0.1.json
    PYTHONPATH=CHECKOUT_OF_0.1 python make_0_1.py postgresql://postgres@127.0.0.1/some_database 0.1.json
    pg_dump --inserts --no-owner --schema=public postgresql://postgres@127.0.0.1/some_database |
        sed -E -e '/^(\\\\|--|$|SET |SELECT |CREATE SCHEMA|COMMENT )/d' -e 's/\\bpublic\\.//g' > 0.1.sql

The JSON file has the content of the database as version 0.1 reads it. Ids are the same in each database.
"""

# ruff: noqa: E402 - ids are made deterministic before the package is imported

import json
import sys
import uuid
from datetime import UTC, datetime, timedelta
from random import Random

ids = Random(1)
uuid.uuid4 = lambda: uuid.UUID(int=ids.getrandbits(128), version=4)

from cicd_common import ExecutionStatus
from cicd_common.api.request import Artifact, ArtifactUploadRequest, JobStatusUpdate, PipelineExecutionRequest
from cicd_common.converter import converter
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import ExecutionStore

REPOSITORY = "https://example.org/repo.git"
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
RUNNING, SUCCESS = ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS
FAILED, CANCELED = ExecutionStatus.FAILED, ExecutionStatus.CANCELED


def build(branch):
    compile_ = Job(name="make", script=("make", "make install"), docker_image="debian", working_dir="src")
    return Pipeline(
        name="build",
        repo_url=REPOSITORY,
        branch=branch,
        commit_hash="c0ffee",
        stages=(
            Stage(name="compile", jobs=(compile_,)),
            Stage(
                name="check",
                jobs=(
                    Job(name="test", script=("make test",), artifacts=("report/*.xml",)),
                    Job(name="lint", script=("make lint",), allow_failure=True),
                    Job(name="sum up", script=("make sum",), dependencies=("make", "test", "lint")),
                ),
            ),
        ),
    )


class Clock:
    def __init__(self):
        self.at = START

    def __call__(self):
        self.at += timedelta(seconds=1)
        return self.at


def told(job, sequence, status, at, logs="", exit_code=None):
    return JobStatusUpdate(
        job_execution_id=job.job_execution_id,
        sequence=sequence,
        status=status,
        occurred_at=at,
        logs=logs,
        exit_code=exit_code,
    )


def end(store, job, status, now):
    store.apply(told(job, 1, RUNNING, now(), "b\u00e4u \0 1\n"), at=now())
    store.apply(told(job, 2, RUNNING, now(), "2\n"), at=now())
    code = None if status is CANCELED else int(status is FAILED)
    return store.apply(told(job, 3, status, now(), "3\n", code), at=now()).jobs


def run(store, started, now, **ends):
    jobs = list(started.jobs)
    for job in jobs:
        jobs += end(store, job, ends.get(job.job_name, SUCCESS), now)
    return jobs


def main(url, file):
    now = Clock()
    main, develop = build("main"), build("develop")
    with ExecutionStore(url) as store:
        runs = []

        def start(what, **fields):
            started = store.start(what, at=now(), **fields)
            runs.append(started.execution.execution_id)
            return started

        # Runs of two definitions with one name, in turns. Version 0.1 numbers the runs of each definition.
        jobs = run(store, start(main), now, lint=FAILED)
        files = tuple(Artifact(path=path, size=5, sha256="ab" * 32) for path in ("report/b\u00e4u.xml", "report/b.xml"))
        store.add_artifacts(ArtifactUploadRequest(job_execution_id=jobs[1].job_execution_id, artifacts=files))
        run(store, start(develop), now, test=FAILED)
        run(store, start(main, commit_hash="beef"), now)
        # A run that is canceled while a job runs, and one that is canceled before its first job.
        started = start(develop)
        first, _ = end(store, started.jobs[0], SUCCESS, now)
        store.apply(told(first, 1, RUNNING, now()), at=now())
        store.cancel(started.execution.execution_id, at=now())
        store.apply(told(first, 2, CANCELED, now()), at=now())
        store.cancel(start(develop).execution.execution_id, at=now())
        # Runs in which some jobs run, some wait for a Worker, and some for other jobs.
        for number in (1, 2):
            request = PipelineExecutionRequest(
                request_id=uuid.UUID(int=number), repo=REPOSITORY, branch="main", pipeline_id=main.id, is_local=True
            )
            started = start(request)
        first, _ = end(store, started.jobs[0], SUCCESS, now)
        store.apply(told(first, 1, RUNNING, now(), "still \u2026"), at=now())
        # A pipeline with another name, whose run was only started.
        start(
            Pipeline(
                name="deploy", repo_url=REPOSITORY, stages=(Stage(name="s", jobs=(Job(name="j", script=("x",)),)),)
            )
        )
        read = {"definitions": [store.pipeline(each.id) for each in store.pipelines()], "runs": []}
        for each in runs:
            execution = store.execution(each)
            jobs = [job for stage in execution.stages for job in stage.jobs]
            read["runs"].append(
                {
                    "execution": execution,
                    "status": execution.status,
                    "logs": {str(job.id): store.logs(job.id).text for job in jobs},
                    "artifacts": {str(job.id): store.artifacts(job.id) for job in jobs},
                }
            )
    with open(file, "w") as out:
        json.dump(converter.unstructure(read), out, indent=1)
        out.write("\n")


main(*sys.argv[1:])

"""Runs of whole systems without faults."""

from __future__ import annotations

import base64
import os
import subprocess
from hashlib import sha256

from cicd_common import ExecutionStatus
from cicd_common.api.response import ExecutionLogResponse, StageReportSummary
from cicd_common.dto import JobExecutionDTO
from cicd_common.store import ExecutionStore
from tests.support.examples.programs import is_alive
from tests.support.examples.system_jobs import attempts, pipeline
from tests.support.examples.waiting import until

SUCCESS, FAILED, CANCELED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED


def make_git_repository(directory):
    """A repository with one commit, and its id."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(*arguments):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(directory), *identity, *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    directory.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    (directory / "source.txt").write_text("committed\n")
    git("add", ".")
    git("commit", "--quiet", "--message=first")
    (directory / "source.txt").write_text("changed since\n")
    return git("rev-parse", "HEAD")


class TestWholeRun:
    def test_run(self, system, side, tmp_path):
        """Statuses, exit codes, order, logs, reports and artifacts are those of the definition."""
        api = system.api
        commit = make_git_repository(tmp_path / "project")
        definition = pipeline(
            tmp_path / "project",
            {
                "build": [
                    side.job("compile", "cat source.txt; mkdir out", "cp source.txt out/app.txt", artifacts=("out/*",)),
                    side.job("lint", "echo 'not nice' >&2", "exit 3", allow_failure=True),
                ],
                "test": [
                    side.job("report", "[ ! -e out ]", dependencies=("unit", "speed")),
                    side.job("unit", side.lines_until("go"), dependencies=("compile",)),
                    side.job("speed", f"echo {'x' * 1000}"),
                ],
                "deploy/%": [side.job("publish", "true")],
            },
            name="app",
        )
        run = api.execute(definition, commit_hash=commit)
        until(lambda: "line 9\n" in api.job(definition, "unit").logs, "output")
        side.let_go("go")
        assert (api.end_of(run), run.run_number) == (SUCCESS, 1)

        jobs = api.jobs(definition)
        found = {name: (job.status, job.exit_code, job.allow_failure) for name, job in jobs.items()}
        good = (SUCCESS, 0, False)
        expected = dict.fromkeys(["compile", "unit", "speed", "report", "publish"], good)
        assert found == {**expected, "lint": (FAILED, 3, True)}
        self.check_order(side, jobs)
        self.check_logs(api, jobs)
        self.check_reports(api, definition, run, jobs, commit)
        self.check_events(api, run, jobs)
        with ExecutionStore(system.store) as store:
            (artifact,) = store.artifacts(jobs["compile"].execution_id)
        data = b"committed\n"
        assert (artifact.path, artifact.size, artifact.sha256) == ("out/app.txt", len(data), sha256(data).hexdigest())

        exchanges = [exchange for proxy in system.proxies for exchange in proxy.exchanges]
        assert len(exchanges) >= 2 * len(jobs)  # A claim and an end of each. The fixture checks their contents.
        assert system.logs.check()

    def check_order(self, side, jobs):
        """No job runs before its dependencies, by the notes of the jobs and by the records."""
        assert sorted(side.order()) == sorted(["compile", "report", "unit", "speed", "publish"])
        needs = [("compile", "unit"), ("lint", "unit"), ("unit", "report"), ("speed", "report"), ("report", "publish")]
        for before, after in needs:
            assert jobs[before].completion_time <= jobs[after].start_time
        assert side.order()[0] == "compile"
        assert side.order()[-2:] == ["report", "publish"]

    def check_logs(self, api, jobs):
        """Each job has one attempt, and its output is complete, in pages of any size."""
        logs = {name: api.log(job.execution_id) for name, job in jobs.items()}
        for name, job in jobs.items():
            assert job.logs == logs[name] == api.log(job.execution_id, limit=1)
        (attempt,) = attempts(logs["unit"])
        assert attempt.is_whole()
        assert attempt.number == 1
        texts = {name: attempt.text for name, log in logs.items() for attempt in attempts(log)}
        assert "committed\n" in texts["compile"]
        assert "not nice\n" in texts["lint"]
        assert f"{'x' * 1000}\n" in texts["speed"]
        path = f"/api/job/logs/{jobs['unit'].execution_id}"
        page = api.ask(JobExecutionDTO, "GET", path, params={"after": 0, "limit": 1000})
        assert page.last_sequence >= 3  # The claim, the output meanwhile, and the end.

    def check_events(self, api, run, jobs):
        """Log lines of the Backend and the Workers about the run are stored once each."""
        path = f"/api/execution/logs/{run.execution_id}"
        expected = {
            "a run has started": [run.execution_id],
            "the job was claimed": sorted(job.execution_id for job in jobs.values()),
            "the job has ended": sorted(job.execution_id for job in jobs.values()),
        }

        def found():
            """The executions of the lines, which arrive in any order."""
            logs = api.ask(ExecutionLogResponse, "GET", path).logs
            return {
                text: sorted(log.job_execution_id or log.pipeline_execution_id for log in logs if text in log.log_text)
                for text in expected
            }

        until(lambda: sum(map(len, found().values())) >= 1 + 2 * len(jobs), "all lines")
        assert found() == expected

    def check_reports(self, api, definition, run, jobs, commit):
        """The reports of the three levels agree with the run."""
        (record,) = api.report(definition).executions
        assert (record.execution_id, record.run_number, record.commit_hash) == (run.execution_id, 1, commit)
        assert record.status == SUCCESS
        assert [(stage.stage_name, stage.status) for stage in record.stages] == [
            ("build", SUCCESS),
            ("test", SUCCESS),
            ("deploy/%", SUCCESS),
        ]
        for stage, summary in zip(definition.stages, record.stages, strict=True):
            (execution,) = api.report(definition, stage.name).executions
            assert summary == StageReportSummary(
                stage_name=stage.name,
                status=execution.status,
                start_time=execution.start_time,
                completion_time=execution.completion_time,
            )
            assert [(job.job_name, job.status, job.start_time, job.completion_time) for job in execution.jobs] == [
                (job.name, jobs[job.name].status, jobs[job.name].start_time, jobs[job.name].completion_time)
                for job in stage.jobs
            ]
        assert record.completion_time == jobs["publish"].completion_time
        assert api.report(definition, status="FAILED").executions == ()
        assert api.report(definition, run_number=1).executions == (record,)


class TestCanceledRun:
    def test_all_is_stopped(self, system, side):
        """Running jobs are killed with all processes that they started; queued and waiting jobs never run."""
        api = system.api
        sleep = f"sleep 1000 & echo $! >> {side.directory}/children; wait"
        # Any of them may be the two that find no Worker: a message may come late.
        now = [side.job(f"now{number}", "echo line 1", sleep) for number in range(len(system.workers) + 2)]
        definition = pipeline(system.repository, {"now": now, "later": [side.job("waiting", "true")]})
        run = api.execute(definition)
        until(lambda: len(side.lines("children")) == len(system.workers), "all Workers to be busy")
        running = [int(line.split()[1]) for line in side.lines("began")]
        children = [int(pid) for pid in side.lines("children")]
        api.cancel(run)
        assert api.job(definition, "waiting").status == CANCELED
        assert api.end_of(run) == CANCELED
        until(lambda: not any(map(is_alive, [*running, *children])), "the end of the jobs' processes")
        jobs = api.jobs(definition)
        assert {job.status for job in jobs.values()} == {CANCELED}
        assert len(side.lines("began")) == len(running) == len(system.workers)
        assert side.order() == []
        assert api.cancel(run).status == CANCELED


class TestSecrets:
    def test_never_told(self, system, side):
        """A secret that a job prints is masked in all forms, also if it is printed in two parts, and is not stored."""
        api = system.api
        secret = system.secrets["DEPLOY_KEY"]
        head, tail = secret[:9], secret[9:]
        cut = 'head=$(printf "%.9s" "$DEPLOY_KEY"); printf "cut $head"; sleep 0.6; echo "${DEPLOY_KEY#$head}"'
        definition = pipeline(
            system.repository,
            {
                "one": [
                    side.job(
                        "tell",
                        "echo plain $DEPLOY_KEY",
                        'printf "base64 "; printf "%s" "$DEPLOY_KEY" | base64',
                        cut,
                        f'[ "$DEPLOY_KEY" = {head}""{tail} ]',
                        '[ "$(env | grep -c ^CICD_)" = 7 ]',
                        secrets=("DEPLOY_KEY",),
                    )
                ]
            },
        )
        run = api.execute(definition)
        assert api.end_of(run) == SUCCESS
        record = api.job(definition, "tell")
        log = api.log(record.execution_id)
        for word in ("plain ***", "base64 ***", "cut ***"):
            assert word in log
        encoded = base64.b64encode(secret.encode()).decode()
        told = [*system.logs.check(), record, log, api.report(definition), api.report(definition, "one")]
        for form in (secret, encoded, system.token):
            assert form not in str(told)
        system.check_secrets()

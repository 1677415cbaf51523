"""Jobs in containers, by a real engine: with the image that ``CICD_TEST_DOCKER_IMAGE`` names, or else busybox.

Where no engine answers, or has no such image, these tests are skipped, and say so. They pull nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from secrets import token_hex

import pytest
from cicd_system.worker.script import find_docker

from cicd_common import ExecutionStatus, dumps
from cicd_common.logging.masking import process_masker
from tests.support.examples.attempts import bench_in, request_of
from tests.support.examples.waiting import until

SUCCESS, FAILED, CANCELED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED

# A Worker that runs a script in a container, as an attempt does, and shows what it says.
WORKER = """
import os, sys
from pathlib import Path
from cicd_common import loads
from cicd_common.api.request import JobExecutionRequest
from cicd_system.worker.process import JobProcess
from cicd_system.worker.script import container_commands, find_docker, program_of
request, copy = loads(sys.argv[1], JobExecutionRequest), Path(sys.argv[2])
command, removal = container_commands(find_docker(), request, program_of(request, copy, {}), copy, copy, ())
with JobProcess(command, directory=copy, environment=os.environ, grace=1, removal=removal) as process:
    while text := os.read(process.output, 1000):
        os.write(1, text)
"""

IMAGE = os.environ.get("CICD_TEST_DOCKER_IMAGE") or "busybox"


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module", autouse=True)
def engine():
    if find_docker() is None:
        pytest.skip("no docker engine answers")
    if docker("image", "inspect", IMAGE).returncode:
        pytest.skip(f"docker has no image {IMAGE}; CICD_TEST_DOCKER_IMAGE names one with a shell")


@pytest.fixture
def bench(tmp_path):
    with bench_in(tmp_path) as bench:
        yield bench
        assert list(bench.work.iterdir()) == []


def containers_of(job):
    """The names of all containers of a job, running or not."""
    return docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"name=cicd-{job.job_execution_id}").stdout


class TestContainer:
    def test_success(self, bench):
        """It runs there, in the working copy, as who the Worker is; what it leaves is the Worker's."""
        (bench.repository / "sub").mkdir()
        (bench.repository / "sub" / "there").touch()
        job = bench.job(
            "pwd; ls; id -u; [ -e /.dockerenv ]",
            "echo left > f",
            docker_image=IMAGE,
            working_dir="sub",
            artifacts=("**/f",),
        )
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0), bench.log(job)
        assert f"\n/workspace/sub\nthere\n{os.getuid()}\n" in bench.log(job)
        assert [file.path for file in bench.store.artifacts(job.job_execution_id)] == ["sub/f"]
        assert containers_of(job) == ""

    @pytest.mark.parametrize(
        ("image", "code", "said"), [(IMAGE, 7, "\n$ exit 7\n"), ("cicd.invalid/none", 125, "cicd.invalid")]
    )
    def test_failure(self, bench, image, code, said):
        """The exit code is the job's, or that of docker, whose errors are in the log."""
        job = bench.job("exit 7", docker_image=image)
        bench.attempt(job)
        assert bench.end(job) == (FAILED, code)
        assert said in bench.log(job)

    def test_environment(self, bench, monkeypatch):
        """A job is given what it is meant to be given, nothing else of the machine; its secrets are masked."""
        secret = token_hex(12)
        process_masker.add(secret)
        monkeypatch.setenv("OTHER", "other")
        commands = ["echo $KEY; [ -z $OTHER ]", "echo $CI $CICD_JOB_EXECUTION_ID"]
        job = bench.job(*commands, docker_image=IMAGE, secrets=("KEY",))
        bench.attempt(job, secrets={"KEY": secret})
        assert bench.end(job) == (SUCCESS, 0), bench.log(job)
        assert "\n***\n" in bench.log(job)
        assert bench.log(job).endswith(f"\ntrue {job.job_execution_id}\n")


class TestStop:
    @pytest.mark.parametrize("before", ["", "trap '' TERM; "])
    def test_canceled(self, bench, before):
        """The container is gone with the job, whether it heeds the signal or not."""
        job = bench.job(f"{before}echo there; while :; do sleep 0.1; done", docker_image=IMAGE)
        attempt = bench.begin(job, grace=1)
        until(lambda: "\nthere\n" in bench.log(job), "the job to run")
        bench.cancel(job)
        attempt.result()
        assert bench.end(job)[0] is CANCELED
        assert containers_of(job) == ""

    def test_worker_killed(self, tmp_path):
        """Its container ends with a Worker that is killed."""
        job = request_of("echo there; while :; do sleep 0.1; done", docker_image=IMAGE)
        arguments = [dumps(job).decode(), str(tmp_path)]
        with subprocess.Popen([sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE) as worker:
            assert worker.stdout.readline().startswith(b"$ echo")
            assert worker.stdout.readline() == b"there\n"
            assert containers_of(job) != ""
            worker.kill()
        until(lambda: containers_of(job) == "", "the end of the container")

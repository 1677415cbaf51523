"""Kinds: typed parameters of known kinds, and parameters of unknown kinds, which pass through unchanged."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import attrs
import pytest
from hypothesis import given

from cicd_common import ContractError, make_converter, mapping
from cicd_common.api.request import JobExecutionRequest, PipelineExecutionRequest
from cicd_common.converter import ContractConverter
from cicd_common.dto import JobDTO, PipelineDTO
from cicd_common.errors import MAX_PROBLEMS, UnknownKindError
from cicd_common.fields import SOME, checked
from cicd_common.kinds import Kinds, PipelineParameters, ScriptParameters, Shell
from cicd_common.model import Job, Pipeline, PipelineExecution, Stage
from cicd_common.testing.strategies import from_type, pipelines
from cicd_common.values import MAX_BYTES, JsonObject
from tests.support.contract import ENGINES, name_of

EXAMPLE = Path(__file__).parents[1] / "examples" / "kinds" / "http_check"
NOW = datetime(2026, 1, 31, tzinfo=UTC)


@attrs.frozen(kw_only=True)
@checked
class Deploy:
    """The parameters of a kind."""

    region: str
    hosts: Annotated[tuple[str, ...], SOME] = ("a",)


@attrs.frozen
class Ratio:
    """Parameters of a class without checks."""

    ratio: float


KINDS = Kinds({"acme.deploy": Deploy, "acme.ratio": Ratio})
DEPLOY = Deploy(region="north", hosts=("a", "b"))


def problems_of(make: Any, *args: Any, **options: Any) -> list[tuple[str, str]]:
    with pytest.raises(ContractError) as caught:
        make(*args, **options)
    return [(each.pointer, each.code) for each in caught.value.problems]


def job(name: str = "job", kind: str = "acme.deploy", **parameters: Any) -> Job:
    return Job(name=name, kind=kind, parameters=JsonObject(parameters), script=("true",))


def pipeline(*jobs: Job, **fields: Any) -> Pipeline:
    stages = (Stage(name="first", jobs=(job("other", "acme.unknown", x=1),)), Stage(name="second", jobs=jobs))
    return Pipeline(name="pipeline", repo_url="", stages=stages, **fields)


@attrs.frozen
class Shard:
    number: int


class TestKinds:
    def test_is_a_mapping(self) -> None:
        """`Kinds` is a mapping that always contains the kinds of the package."""
        assert dict(KINDS) == {
            "script": ScriptParameters,
            "pipeline": PipelineParameters,
            "acme.deploy": Deploy,
            "acme.ratio": Ratio,
        }
        assert len(Kinds()) == 2
        assert "acme.deploy" not in Kinds()

    def test_is_a_value(self) -> None:
        """Kinds with the same classes are equal, and later changes of the given dict have no effect."""
        classes = {"acme.deploy": Deploy}
        kinds = Kinds(classes)
        classes.clear()

        assert kinds == Kinds({"acme.deploy": Deploy}) != Kinds()
        assert hash(kinds) == hash(Kinds({"acme.deploy": Deploy}))
        with pytest.raises(AttributeError):
            kinds.classes = {}  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("name", "cls", "problem"),
        [
            ("Acme", Deploy, ("/Acme", "value")),
            ("acme/x", Deploy, ("/acme~1x", "value")),
            ("acme.x", dict, ("/acme.x", "type")),
            ("acme.x", DEPLOY, ("/acme.x", "type")),
            ("script", Deploy, ("/script", "value")),
        ],
    )
    def test_refuses_wrong_names_and_classes(self, name: str, cls: Any, problem: tuple[str, str]) -> None:
        """A wrong name or class is refused, and the pointer names the kind."""
        assert [problem] == problems_of(Kinds, {name: cls})

    def test_repeats_its_own_class(self) -> None:
        """Kinds can be made from other kinds, which contain those of the package."""
        assert Kinds(KINDS) == KINDS


class TestJobOf:
    def test_a_typed_object_comes_back(self) -> None:
        """`parameters_of` returns the typed object from which `job_of` has made the job."""
        made = KINDS.job_of("acme.deploy", DEPLOY, name="deploy", retries=2)

        assert made.kind == "acme.deploy"
        assert made.retries == 2
        assert made.parameters == {"region": "north", "hosts": ["a", "b"]}
        assert KINDS.parameters_of(made) == DEPLOY

    def test_scripts_have_parameters(self) -> None:
        """The parameters of a script are its shell and whether it needs submodules, and both have defaults."""
        bash = ScriptParameters(shell=Shell.BASH)
        made = Kinds().job_of("script", bash, name="test", script=("true",))

        assert made.parameters == {"shell": "bash", "submodules": False}
        assert Kinds().parameters_of(made) == bash
        assert Kinds().parameters_of(attrs.evolve(made, parameters=JsonObject())) == ScriptParameters()

    def test_pipelines_have_kinds(self) -> None:
        """The typed parameters of pipelines are made and read like those of jobs."""
        stages = (Stage(name="only", jobs=(job(),)),)
        made = KINDS.pipeline_of("acme.deploy", DEPLOY, name="pipeline", repo_url="", stages=stages)

        assert KINDS.parameters_of(made) == DEPLOY
        assert Kinds().parameters_of(pipeline(job())) == PipelineParameters()

    def test_an_unknown_kind_is_said_to_be_so(self) -> None:
        """An unknown kind is an error that lists the known kinds."""
        with pytest.raises(UnknownKindError, match=r"/kind: expected a kind that is known here: pipeline, script"):
            Kinds().parameters_of(job())
        with pytest.raises(UnknownKindError):
            Kinds().job_of("acme.deploy", DEPLOY, name="deploy")

    @pytest.mark.parametrize("parameters", [{"region": "north"}, ScriptParameters(), Deploy, None])
    def test_an_object_of_another_class_is_refused(self, parameters: Any) -> None:
        """Parameters of another class than that of the kind are refused."""
        assert problems_of(KINDS.job_of, "acme.deploy", parameters, name="deploy") == [("/parameters", "type")]

    @pytest.mark.parametrize(
        ("kind", "parameters", "pointer"),
        [
            ("acme.ratio", Ratio(float("nan")), "/parameters/ratio"),
            ("acme.deploy", Deploy(region="x" * MAX_BYTES), "/parameters"),
        ],
    )
    def test_what_json_objects_do_not_hold_is_refused(self, kind: str, parameters: Any, pointer: str) -> None:
        """A value that a JSON object cannot contain is refused with its pointer in the job."""
        assert problems_of(KINDS.job_of, kind, parameters, name="deploy") == [(pointer, "value")]

    def test_a_large_integer_that_would_come_back_as_a_float_is_refused(self) -> None:
        """A JSON object stores integers beyond 53 bits as floats, which an integer field does not accept."""
        kinds = Kinds({"acme.shard": Shard})
        held = job(kind="acme.shard", number=2**60)

        assert kinds.parameters_of(kinds.job_of("acme.shard", Shard(2**53 - 1), name="job")) == Shard(2**53 - 1)
        assert problems_of(kinds.job_of, "acme.shard", Shard(2**60), name="job") == [("/parameters/number", "type")]
        assert problems_of(kinds.parameters_of, held) == [("/parameters/number", "type")]

    def test_a_converter_of_one_s_own_reads_and_writes(self) -> None:
        """Parameters are read and written with the hooks of the given converter."""
        converter = make_converter()
        converter.register_unstructure_hook(Ratio, lambda ratio: {"percent": ratio.ratio * 100})
        converter.register_structure_hook(Ratio, lambda value, _: Ratio(value["percent"] / 100))
        kinds = Kinds({"acme.ratio": Ratio}, converter)
        made = kinds.job_of("acme.ratio", Ratio(0.5), name="job")

        assert made.parameters == {"percent": 50}
        assert kinds.parameters_of(made) == Ratio(0.5)


class TestParametersOf:
    @pytest.mark.parametrize("cls", [Job, JobDTO, JobExecutionRequest, PipelineDTO])
    def test_reads_those_of_whatever_has_a_kind(self, cls: type) -> None:
        """Parameters are read from models, records and requests."""
        holder = from_type(cls).map(
            lambda each: attrs.evolve(each, kind="acme.deploy", parameters=JsonObject({"region": "x"}))
        )

        @given(holder)
        def check(each: Any) -> None:
            assert KINDS.parameters_of(each) == Deploy(region="x")

        check()

    def test_problems_have_their_places(self) -> None:
        """All problems have pointers that begin at the job or pipeline."""
        assert problems_of(KINDS.parameters_of, job(hosts=["a", 1])) == [
            ("/parameters/region", "missing"),
            ("/parameters/hosts/1", "type"),
        ]

    def test_unknown_parameters_are_ignored_or_refused(self) -> None:
        """Unknown parameters are ignored, and refused if strict."""
        made = job(region="north", zone=1)

        assert KINDS.parameters_of(made) == Deploy(region="north")
        assert problems_of(KINDS.parameters_of, made, strict=True) == [("/parameters/zone", "unknown")]


class TestCheck:
    def test_a_right_document_comes_back(self) -> None:
        """`check` returns a valid document itself."""
        right = pipeline(job(region="north"))

        assert KINDS.check(right) is right

    def test_pointers_start_at_the_root(self) -> None:
        """All problems of known kinds have pointers from the root of the document, and unknown kinds are ignored."""
        wrong = pipeline(
            job("a", region=1), job("b", region="x"), job("c", hosts=[]), kind="acme.ratio", parameters=JsonObject()
        )
        expected = [
            ("/parameters/ratio", "missing"),
            ("/stages/1/jobs/0/parameters/region", "type"),
            ("/stages/1/jobs/2/parameters/region", "missing"),
            ("/stages/1/jobs/2/parameters/hosts", "value"),
        ]
        request = PipelineExecutionRequest(request_id=uuid4(), repo="", pipeline=wrong)

        assert problems_of(KINDS.check, wrong) == expected
        assert problems_of(KINDS.check, request) == [(f"/pipeline{pointer}", code) for pointer, code in expected]
        assert Kinds().check(request) is request

    def test_strictness_is_passed_on(self) -> None:
        """A strict check refuses parameters that are not known."""
        made = pipeline(job(region="north", zone=1))

        assert KINDS.check(made) is made
        assert problems_of(KINDS.check, made, strict=True) == [("/stages/1/jobs/0/parameters/zone", "unknown")]

    def test_an_error_is_bounded(self) -> None:
        """An error has at most `MAX_PROBLEMS` problems, and says if there may be more, in a single job or in all."""
        many = [{"region": "x", "hosts": [1] * count} for count in (MAX_PROBLEMS - 1, MAX_PROBLEMS + 1)]
        for parameters, is_complete in zip(many, (True, False), strict=True):
            with pytest.raises(ContractError) as caught:
                KINDS.check(pipeline(job(**parameters)))

            assert len(caught.value.problems) <= MAX_PROBLEMS
            assert caught.value.is_complete is is_complete
        with pytest.raises(ContractError) as caught:
            KINDS.check(pipeline(*(job(f"{number}", region="x", hosts=[1] * 99) for number in range(100))))
        assert (len(caught.value.problems), caught.value.is_complete) == (MAX_PROBLEMS, False)


# --- unknown kinds -----------------------------------------------------------------------------------------------


@pytest.mark.no_cover
@pytest.mark.parametrize("engine", ENGINES, ids=name_of)
class TestPassThrough:
    """Parameters of unknown kinds are not changed by reading and writing."""

    @given(pipelines())
    def test_through_the_message_of_a_cli(self, engine: ContractConverter, pipeline: Pipeline) -> None:
        """Parameters in a request of the CLI are not changed by reading and writing it."""
        request = PipelineExecutionRequest(request_id=UUID(int=1), repo="", pipeline=pipeline)
        data = engine.dumps(request)
        read = engine.loads(data, PipelineExecutionRequest)

        assert data == engine.dumps(read)
        assert texts_of(pipeline) == texts_of(read.pipeline)
        assert all(text.encode() in data for text in texts_of(pipeline))

    @given(pipelines())
    def test_through_models_and_records(self, engine: ContractConverter, pipeline: Pipeline) -> None:
        """Parameters are not changed by a conversion to records, their JSON, and back."""
        records = mapping.pipeline_to_records(pipeline, created_at=NOW, updated_at=NOW)
        parts = [
            tuple(engine.loads(engine.dumps(each), type(each)) for each in group)
            for group in ((records.pipeline,), records.stages, records.jobs)
        ]
        again = mapping.pipeline_from_records(parts[0][0], parts[1], parts[2])

        assert engine.dumps(pipeline) == engine.dumps(again)
        assert texts_of(pipeline) == texts_of(again)

    @given(pipelines())
    def test_through_requests_to_workers(self, engine: ContractConverter, pipeline: Pipeline) -> None:
        """The request for a Worker has the kind of the job, and exactly the bytes of its parameters."""
        execution = PipelineExecution.of(pipeline, run_number=1)
        execution = engine.loads(engine.dumps(execution), PipelineExecution)
        for stage in execution.stages:
            for run in stage.jobs:
                request = mapping.job_execution_request(execution, run.id)
                data = engine.dumps(request)

                assert engine.loads(data, JobExecutionRequest) == request
                assert request.kind == run.job.kind
                assert f'"parameters":{run.job.parameters.text},"environment":'.encode() in data


def texts_of(pipeline: Any) -> list[str]:
    """The parameters of a pipeline and its jobs, as their canonical texts."""
    jobs = [job for stage in pipeline.stages for job in stage.jobs]
    return [pipeline.parameters.text, *(job.parameters.text for job in jobs)]


# --- installed kinds ---------------------------------------------------------------------------------------------


def distribution(directory: Path, name: str, *lines: str) -> None:
    """Write the metadata of an installed distribution with entry points."""
    info = directory / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[cicd_common.kinds]", *lines]))


class TestInstalled:
    def test_there_are_none_but_those_of_the_package(self) -> None:
        """Without other distributions, only the kinds of the package are installed."""
        assert Kinds.installed() == Kinds()

    def test_two_distributions_cannot_add_one_kind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A kind of two distributions is refused, and the pointer names the kind."""
        distribution(tmp_path, "one", "acme.x = tests.test_kinds:Deploy")
        distribution(tmp_path, "two", "acme.x = tests.test_kinds:Ratio")
        monkeypatch.syspath_prepend(tmp_path)

        assert problems_of(Kinds.installed) == [("/acme.x", "value")]

    @pytest.mark.parametrize(
        ("line", "code"),
        [
            ("acme.x = tests.test_kinds:Absent", "value"),
            ("acme.x = tests.test_kinds:DEPLOY", "type"),
            ("script = tests.test_kinds:Deploy", "value"),
        ],
    )
    def test_an_entry_point_gives_a_class(
        self, line: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An entry point of a kind that does not name a suitable class is refused."""
        distribution(tmp_path, "one", line)
        monkeypatch.syspath_prepend(tmp_path)

        assert [(f"/{line.split()[0]}", code)] == problems_of(Kinds.installed)

    def test_a_module_that_cannot_be_imported_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An entry point with a missing module raises its ImportError."""
        distribution(tmp_path, "one", "acme.x = there_is_none:Deploy")
        monkeypatch.syspath_prepend(tmp_path)

        with pytest.raises(ImportError, match="there_is_none"):
            Kinds.installed()

    def test_a_converter_is_kept(self) -> None:
        """Installed kinds use the given converter."""
        converter = make_converter()

        assert Kinds.installed(converter).converter is converter


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the example distribution, installed by pip."""
    directory = tmp_path_factory.mktemp("kinds")
    # A copy, because the build writes files next to the sources.
    shutil.copytree(EXAMPLE, directory / "source", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(directory / "site")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(directory / "source")], check=True)
    return directory / "site"


@pytest.fixture
def server() -> Iterator[str]:
    """The URL of a server that answers 200, or 503 below ``/down``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if self.path.startswith("/down") else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestExample:
    def run(self, installed: Path, code: str | None, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a program with the distribution on its path."""
        arguments = ["-c", code] if code else ["-m", "acme_http_check"]
        root = str(Path(__file__).parents[1])
        paths = {"PYTHONPATH": f"{installed}:{root}"} if code or data else {}
        return subprocess.run(
            [sys.executable, *arguments], input=data, env=paths, capture_output=True, check=False, timeout=60
        )

    def request(self, **parameters: Any) -> bytes:
        """The request to run a job of the kind."""
        [made] = pipeline(job("check", "acme.http-check", **parameters)).stages[1].jobs
        execution = PipelineExecution.of(pipeline(made), run_number=1)
        request = mapping.job_execution_request(execution, execution.stages[1].jobs[0].id)
        return ENGINES[0].dumps(request)

    def test_is_found(self, installed: Path) -> None:
        """The example of the README runs if the distribution is installed, and fails otherwise."""
        [code] = (EXAMPLE / "README.md").read_text().split("```python\n")[1].split("```")[:1]

        done = self.run(installed, code)
        assert done.returncode == 0, done.stderr
        assert self.run(installed.parent / "nowhere", code).returncode == 1

    def test_finds_mistakes_where_a_job_is_defined(self, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`check` finds wrong parameters of the installed kind, with pointers from the root of the pipeline."""
        monkeypatch.syspath_prepend(installed)
        wrong = [
            job("a", "acme.http-check", url="ftp://x"),
            job("b", "acme.http-check", url="http://x:99999999", expected_status=99),
            job("c", "acme.http-check", url="http://[/"),
        ]

        assert problems_of(Kinds.installed().check, pipeline(*wrong)) == [
            ("/stages/1/jobs/0/parameters/url", "value"),
            ("/stages/1/jobs/1/parameters/url", "value"),
            ("/stages/1/jobs/1/parameters/expected_status", "value"),
            ("/stages/1/jobs/2/parameters/url", "value"),
        ]

    @pytest.mark.parametrize(
        ("path", "expected_status", "code", "output"),
        [
            ("/up?x=1", 200, 0, b"as expected\n"),
            ("/down", 503, 0, b"as expected\n"),
            ("/down", 200, 1, b"expected status 200, got 503\n"),
        ],
    )
    def test_runs(
        self, installed: Path, server: str, path: str, expected_status: int, code: int, output: bytes
    ) -> None:
        """The program reads a request, and its exit code says whether the server answered as expected."""
        done = self.run(installed, None, self.request(url=server + path, expected_status=expected_status))

        assert (code, output) == (done.returncode, done.stdout), done.stderr

    def test_fails_without_an_answer(self, installed: Path) -> None:
        """Without an answer of the server, the exit code is 1."""
        done = self.run(installed, None, self.request(url="http://127.0.0.1:1/"))

        assert (done.returncode, done.stdout) == (1, b"no answer: ConnectionRefusedError\n"), done.stderr

    def test_does_not_run_what_is_wrong(self, installed: Path) -> None:
        """A request with wrong parameters is refused with exit code 2."""
        done = self.run(installed, None, self.request(url="http://x", timeout_seconds=0))

        assert done.returncode == 2
        assert b"/parameters/timeout_seconds: expected seconds" in done.stderr

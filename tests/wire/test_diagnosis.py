"""Invalid documents, by name, with their exact problems."""

import json
from datetime import datetime

import pytest

from cicd_common import ContractError
from cicd_common.api.request import (
    Artifact,
    ArtifactUploadRequest,
    JobExecutionRequest,
    JobStatusUpdate,
    PipelineExecutionRequest,
    ReportRequest,
)
from cicd_common.dto import JobExecutionDTO, StageDTO
from cicd_common.fields import Name
from cicd_common.model import ExecutionLog, Job, Pipeline
from tests.support.contract import ENGINES, name_of
from tests.support.golden_files import full, least

UUID = "expected a UUID: 32 hexadecimal digits, with hyphens as 8-4-4-4-12 or without"
TIME = "expected a time as in RFC 3339 with an offset, in the years 1 to 9999 in UTC: 2026-01-31T23:59:59.5Z"
NAME = (
    "expected a name: 1 to 255 characters, at least one of them visible, no control characters, also for the direction "
    "of text, no blank at either end"
)
NFC = "expected a name in Unicode's form NFC"
PATH = "expected a relative POSIX path without '..', a drive or a backslash"
STATUS = "expected one of PENDING, RUNNING, SUCCESS, FAILED, CANCELED"
SYNTAX = "expected one JSON value and no more, the text breaks at line {}, column {}"
LEVELS = "expected JSON that nests at most 100 levels deep"
SURROGATES = "expected JSON without lone surrogates"
BITS = "expected an integer of at most 64 bits"


def plain(cls, **changes):
    """The plain data of a valid object with some changes; ``...`` removes a key."""
    data = json.loads(ENGINES[0].dumps(full(cls))) | changes
    return {key: value for key, value in data.items() if value is not ...}


def text(cls, **changes):
    return json.dumps(plain(cls, **changes)).encode()


UPDATE = text(JobStatusUpdate)
JOB = plain(Pipeline)["stages"][0]["jobs"][0]


def pipeline(*stages):
    """A pipeline. Each job is its name, followed by the names of its dependencies."""
    return text(
        Pipeline,
        stages=[
            {
                "id": f"{at:032x}",
                "name": f"s{at}",
                "jobs": [
                    {**JOB, "id": f"{at * 100 + place:032x}", "name": name, "dependencies": dependencies}
                    for place, (name, *dependencies) in enumerate(jobs)
                ],
            }
            for at, jobs in enumerate(stages)
        ],
    )


def update(**changes):
    return JobStatusUpdate, text(JobStatusUpdate, **changes)


# The type, the document, and the pointer, code and message of each problem.
CASES = {
    # Not JSON.
    "nothing at all": (JobStatusUpdate, b"", ("", "syntax", SYNTAX.format(1, 1))),
    "blanks": (JobStatusUpdate, b" \n ", ("", "syntax", SYNTAX.format(2, 2))),
    "cut in the middle": (JobStatusUpdate, b'{"sequence":', ("", "syntax", SYNTAX.format(1, 13))),
    "data after the object": (JobStatusUpdate, UPDATE + b"{}", ("", "syntax", SYNTAX.format(1, len(UPDATE) + 1))),
    "a zero byte after the object": (JobStatusUpdate, b"{}\x00", ("", "syntax", SYNTAX.format(1, 3))),
    "a byte order mark": (JobStatusUpdate, b"\xef\xbb\xbf" + UPDATE, ("", "syntax", SYNTAX.format(1, 1))),
    "UTF-16": (JobStatusUpdate, UPDATE.decode().encode("utf-16-le"), ("", "syntax", SYNTAX.format(1, 2))),
    "broken UTF-8": (
        JobStatusUpdate,
        b'{"x":"\xff"}',
        ("", "syntax", "expected UTF-8, found a wrong byte at offset 6"),
    ),
    "broken UTF-8 in a key": (
        JobStatusUpdate,
        b'{"\xc3(":1}',
        ("", "syntax", "expected UTF-8, found a wrong byte at offset 2"),
    ),
    "a surrogate in UTF-8": (
        JobStatusUpdate,
        b'{"logs":"\xed\xa0\x80"}',
        ("", "syntax", "expected UTF-8, found a wrong byte at offset 9"),
    ),
    "half of a character, escaped": (JobStatusUpdate, b'{"logs":"\\ud83d"}', ("", "syntax", SURROGATES)),
    "the other half, in upper case": (JobStatusUpdate, b'{"logs":"\\uDE00"}', ("", "syntax", SURROGATES)),
    "two first halves": (JobStatusUpdate, b'{"logs":"\\ud83d\\ud83d\\ude00"}', ("", "syntax", SURROGATES)),
    "half of a character in an unknown key": (JobStatusUpdate, b'{"\\ud83d":1}', ("", "syntax", SURROGATES)),
    "half of a character in a str": (JobStatusUpdate, '{"logs":"\ud83d"}', ("", "syntax", SURROGATES)),
    "NaN": (JobStatusUpdate, b'{"x":NaN}', ("", "syntax", "expected JSON, which has no NaN")),
    "Infinity": (JobStatusUpdate, b'{"x":[-Infinity]}', ("", "syntax", "expected JSON, which has no -Infinity")),
    "a leading zero": (JobStatusUpdate, b'{"sequence":01}', ("", "syntax", SYNTAX.format(1, 14))),
    "a single quote": (JobStatusUpdate, b"{'sequence':1}", ("", "syntax", SYNTAX.format(1, 2))),
    "a line break in a string": (JobStatusUpdate, b'{"logs":"\n"}', ("", "syntax", SYNTAX.format(1, 10))),
    "nesting without end": (JobStatusUpdate, b"[" * 200_000, ("", "syntax", LEVELS)),
    # Values of another JSON type.
    "null": (JobStatusUpdate, b"null", ("", "type", "expected a JobStatusUpdate as an object")),
    "a list": (JobStatusUpdate, b"[]", ("", "type", "expected a JobStatusUpdate as an object")),
    "a string of JSON": (JobStatusUpdate, b'"{}"', ("", "type", "expected a JobStatusUpdate as an object")),
    "a number as a string": (*update(sequence="1"), ("/sequence", "type", "expected an integer")),
    "true as a number": (*update(sequence=True), ("/sequence", "type", "expected an integer")),
    "a fraction that is none": (*update(sequence=1.0), ("/sequence", "type", "expected an integer")),
    "a number as a text": (*update(logs=1), ("/logs", "type", "expected a string")),
    "null for a text": (*update(logs=None), ("/logs", "type", "expected a string")),
    "null for a status": (*update(status=None), ("/status", "type", STATUS)),
    "a number as a status": (*update(status=1), ("/status", "type", STATUS)),
    "a number as a time": (*update(occurred_at=1769862600), ("/occurred_at", "type", "expected a time as a string")),
    "a number as a UUID": (*update(job_execution_id=1), ("/job_execution_id", "type", "expected a UUID as a string")),
    "1 as true": (
        JobExecutionDTO,
        text(JobExecutionDTO, allow_failure=1),
        ("/allow_failure", "type", "expected true or false"),
    ),
    "a string as a list": (
        JobExecutionRequest,
        text(JobExecutionRequest, commands="make"),
        ("/commands", "type", "expected a list"),
    ),
    "an object as a list": (
        JobExecutionRequest,
        text(JobExecutionRequest, commands={"0": "make"}),
        ("/commands", "type", "expected a list"),
    ),
    "null in a list": (
        JobExecutionRequest,
        text(JobExecutionRequest, commands=["make", None, 1]),
        ("/commands/1", "type", "expected a string"),
        ("/commands/2", "type", "expected a string"),
    ),
    "a list as an object": (
        JobExecutionDTO,
        text(JobExecutionDTO, job=[]),
        ("/job", "type", "expected a JobDTO as an object"),
    ),
    # Values of the right type that are invalid.
    "an unknown status": (*update(status="DONE"), ("/status", "value", STATUS)),
    "a status in lower case": (*update(status="running"), ("/status", "value", STATUS)),
    "a reason before the end": (
        *update(status="RUNNING"),
        ("/reason", "value", "expected a reason only with a terminal status"),
    ),
    "a release after the end": (
        *update(is_released=True),
        ("/is_released", "value", "expected a release only with the status RUNNING"),
    ),
    "sequence 0": (*update(sequence=0), ("/sequence", "value", "expected an integer of 1 or more, of at most 64 bits")),
    "an integer of 65 bits": (*update(exit_code=2**63), ("/exit_code", "value", BITS)),
    "an integer of 5,000 digits": (
        JobStatusUpdate,
        UPDATE.replace(b'"sequence": 42', b'"sequence": ' + b"9" * 5_000),
        ("/sequence", "value", BITS),
    ),
    "a UUID in braces": (*update(job_execution_id="{" + "0" * 32 + "}"), ("/job_execution_id", "value", UUID)),
    "a UUID as a URN": (*update(job_execution_id="urn:uuid:" + "0" * 32), ("/job_execution_id", "value", UUID)),
    "a UUID with hyphens in other places": (
        *update(job_execution_id="0000-00000000-0000-0000-000000000000"),
        ("/job_execution_id", "value", UUID),
    ),
    "a UUID in other digits": (*update(job_execution_id="\u0661" * 32), ("/job_execution_id", "value", UUID)),
    **{
        f"a time that is {what}": (*update(occurred_at=time), ("/occurred_at", "value", TIME))
        for what, time in {
            "naive": "2026-01-31T12:30:00",
            "a bare date": "2026-01-31",
            "in a week": "2026-W05-6T12:30:00Z",
            "without hyphens": "20260131T123000Z",
            "of second 60": "2026-12-31T23:59:60Z",
            "of hour 24": "2026-01-31T24:00:00Z",
            "of a day that is not": "2026-02-29T12:30:00Z",
            "of the year 0": "0000-01-31T12:30:00Z",
            "after the last year in UTC": "9999-12-31T23:59:59-00:01",
            "before the first year in UTC": "0001-01-01T00:00:00+00:01",
            "rounded past the last year": "9999-12-31T23:59:59.9999999Z",
            "at an offset of 24 hours": "2026-01-31T12:30:00+24:00",
            "of three digits of seconds": "2026-01-31T12:30:005Z",
            "at an offset of 60 minutes": "2026-01-31T12:30:00+00:60",
            "at an offset with seconds": "2026-01-31T12:30:00+01:00:00",
            "at an offset of hours alone": "2026-01-31T12:30:00+01",
            "with a comma": "2026-01-31T12:30:00,5Z",
            "with a point and no fraction": "2026-01-31T12:30:00.Z",
            "with a blank": "2026-01-31T12:30:00Z ",
            "in other digits": "2026-01-3\u0661T12:30:00Z",
            "empty": "",
        }.items()
    },
    **{
        f"a name that is {what}": (StageDTO, text(StageDTO, name=name), ("/name", "value", NAME))
        for what, name in {
            "empty": "",
            "of 256 characters": "x" * 256,
            "with a control character": "a\x00b",
            "with a C1 control character": "a\x85b",
            "with a blank before it": " a",
            "with a blank behind it": "a\u00a0",
            "with an override of the direction": "a\u202eb",
            "with an Arabic letter mark": "a\u061cb",
            "with an isolate": "a\u2066b\u2069",
            "of a space without width": "\u200b",
            "of a filler of Hangul": "\u3164",
            "of an empty pattern of Braille": "\u2800",
            "of variation selectors": "\ufe0f\U000e0100",
        }.items()
    },
    "a name in another form than NFC": (StageDTO, text(StageDTO, name="cafe\u0301"), ("/name", "value", NFC)),
    "a name that is empty, and one in another form": (
        Job,
        text(Job, name="", dependencies=["\u212b"]),
        ("/name", "value", NAME),
        ("/dependencies/0", "value", NFC),
    ),
    **{
        f"a path that is {what}": (Artifact, text(Artifact, path=path), ("/path", "value", PATH))
        for what, path in {
            "empty": "",
            "absolute": "/etc/passwd",
            "climbing": "a/../../b",
            "climbing at once": "..",
            "climbing at the end": "a/..",
            "on a drive": "C:temp",
            "of Windows": "a\\b",
            "cut by a NUL": "a\x00b",
        }.items()
    },
    "a negative size": (
        Artifact,
        text(Artifact, size=-1),
        ("/size", "value", "expected an integer of 0 or more, of at most 64 bits"),
    ),
    "a hash in upper case": (
        Artifact,
        text(Artifact, sha256="A" * 64),
        ("/sha256", "value", "expected 64 lower-case hexadecimal digits"),
    ),
    "a hash and a line break": (
        Artifact,
        text(Artifact, sha256="a" * 64 + "\n"),
        ("/sha256", "value", "expected 64 lower-case hexadecimal digits"),
    ),
    "no commands": (
        JobExecutionRequest,
        text(JobExecutionRequest, commands=[], kind="script"),
        ("/commands", "value", "expected at least one command for a job of the kind script"),
    ),
    "no artifacts": (
        ArtifactUploadRequest,
        text(ArtifactUploadRequest, artifacts=[]),
        ("/artifacts", "value", "expected at least one element"),
    ),
    "a page of nothing": (
        ReportRequest,
        text(ReportRequest, limit=0),
        ("/limit", "value", "expected an integer from 1 to 1000"),
    ),
    "a page of all": (
        ReportRequest,
        text(ReportRequest, limit=1001),
        ("/limit", "value", "expected an integer from 1 to 1000"),
    ),
    "names in a list, right and wrong": (
        Job,
        text(Job, name=" ", dependencies=["a", "", "b\n"]),
        ("/name", "value", NAME),
        ("/dependencies/1", "value", NAME),
        ("/dependencies/2", "value", NAME),
    ),
    "a wrong name in a list, and nothing else": (
        Job,
        text(Job, dependencies=["a", ""]),
        ("/dependencies/1", "value", NAME),
    ),
    # Rules about several fields.
    "no pipeline to run": (
        PipelineExecutionRequest,
        text(PipelineExecutionRequest, pipeline=None, pipeline_id=None, file_path=None),
        ("", "value", "expected at least one of pipeline_id, file_path and pipeline"),
    ),
    "a job without its stage": (
        ReportRequest,
        text(ReportRequest, stage_name=None),
        ("/stage_name", "value", "expected the name of the job's stage"),
    ),
    "a log of nothing": (
        ExecutionLog,
        text(ExecutionLog, pipeline_execution_id=None, stage_execution_id=None, job_execution_id=None),
        (
            "",
            "value",
            "expected at least one of pipeline_execution_id, stage_execution_id and job_execution_id",
        ),
    ),
    "a rule about several fields, further down": (
        PipelineExecutionRequest,
        text(PipelineExecutionRequest, pipeline=json.loads(pipeline([["a"], ["b", "b"]]))),
        ("/pipeline/stages/0/jobs/1/dependencies/0", "value", "expected job b not to depend on itself"),
    ),
    "a rule about several fields, in a list": (
        tuple[ReportRequest, ...],
        json.dumps([plain(ReportRequest), plain(ReportRequest, stage_name=None)]),
        ("/1/stage_name", "value", "expected the name of the job's stage"),
    ),
    # Values outside a type of the contract.
    "a naive time alone": (datetime, b'"2026-01-31T12:30:00"', ("", "value", TIME)),
    "naive times in a list": (tuple[datetime, ...], b'["2026-01-31T12:30:00"]', ("/0", "value", TIME)),
    "a huge integer alone": (int, b"9223372036854775808", ("", "value", BITS)),
    "a wrong name alone": (Name, b'" "', ("", "value", NAME)),
    # Keys.
    "no keys": (
        JobStatusUpdate,
        b"{}",
        ("/job_execution_id", "missing", "missing: expected a UUID"),
        ("/sequence", "missing", "missing: expected an integer"),
        ("/status", "missing", f"missing: {STATUS}"),
        ("/occurred_at", "missing", "missing: expected a time"),
        ("/worker", "missing", "missing: expected a string"),
    ),
    "a repeated key counts last": (
        JobStatusUpdate,
        UPDATE.replace(b'"sequence": 42', b'"sequence": 42, "sequence": null'),
        ("/sequence", "type", "expected an integer"),
    ),
    "problems of all kinds, at all depths": (
        JobExecutionDTO,
        text(
            JobExecutionDTO,
            id="x",
            status=...,
            exit_code="0",
            job=plain(JobExecutionDTO)["job"] | {"name": "", "script": ["a", 2]},
        ),
        ("/id", "value", UUID),
        ("/status", "missing", f"missing: {STATUS}"),
        ("/exit_code", "type", "expected an integer"),
        ("/job/name", "value", NAME),
        ("/job/script/1", "type", "expected a string"),
    ),
    # Pipelines.
    "no stages": (Pipeline, pipeline(), ("/stages", "value", "expected at least one element")),
    "a stage without jobs": (Pipeline, pipeline([]), ("/stages/0/jobs", "value", "expected at least one element")),
    "two jobs of one name": (
        Pipeline,
        pipeline([["a"], ["b"]], [["a"]]),
        ("/stages/1/jobs/0/name", "value", "expected one job named a, found another"),
    ),
    "a job that depends on itself": (
        Pipeline,
        pipeline([["a", "a"]]),
        ("/stages/0/jobs/0/dependencies/0", "value", "expected job a not to depend on itself"),
    ),
    "a dependency that does not exist, and one on a later stage": (
        Pipeline,
        pipeline([["a", "x", "b"]], [["b"]]),
        (
            "/stages/0/jobs/0/dependencies/0",
            "value",
            "expected job a to depend on jobs of this pipeline, which has no job x",
        ),
        (
            "/stages/0/jobs/0/dependencies/1",
            "value",
            "expected job a not to depend on job b, which is in a later stage",
        ),
    ),
    "a cycle": (
        Pipeline,
        pipeline([["package", "test"], ["compile", "test"], ["test", "compile"]]),
        (
            "/stages/0/jobs/2/dependencies",
            "value",
            "expected no cycle of dependencies, found test -> compile -> test",
        ),
    ),
}


@pytest.mark.parametrize("engine", ENGINES, ids=name_of)
@pytest.mark.parametrize("case", CASES)
def test_is_refused_with_exactly_these_problems(case, engine):
    """Each engine refuses the document with exactly these problems, strict or not."""
    cls, data, *expected = CASES[case]
    for strict in (False, True):
        with pytest.raises(ContractError) as caught:
            engine.loads(data, cls, strict=strict)
        found = [(problem.pointer, problem.code, problem.message) for problem in caught.value.problems]
        assert (caught.value.type, found) == (cls, expected)


@pytest.mark.parametrize("engine", ENGINES, ids=name_of)
def test_a_strict_reader_names_every_unknown_key(engine):
    """A strict reader lists the unknown keys at all depths, and other readers ignore them."""
    job = json.loads(engine.dumps(least(JobExecutionDTO)))
    job |= {"a/b": 1, "job": {**json.loads(engine.dumps(full(JobExecutionDTO)))["job"], "m~n": None}, "sequence": 2}
    assert engine.loads(json.dumps(job), JobExecutionDTO).job is not None
    with pytest.raises(ContractError) as caught:
        engine.loads(json.dumps(job), JobExecutionDTO, strict=True)
    assert [(problem.pointer, problem.code) for problem in caught.value.problems] == [
        ("/job/m~0n", "unknown"),
        ("/a~1b", "unknown"),
        ("/sequence", "unknown"),
    ]

"""The pipelines of the examples are valid definitions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cicd_system.cli.definition import read_definition

PIPELINES = sorted((Path(__file__).parents[2] / "examples" / "pipelines").glob("*.yaml"))


def read(name: str):
    (file,) = [file for file in PIPELINES if file.stem == name]
    return read_definition(file)


def test_all():
    assert [file.stem for file in PIPELINES] == ["allowed-failure", "cicd-common", "failing", "two-hundred"]


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: file.stem)
def test_sound(file):
    """Each is a definition, and the same one however often it is read."""
    assert read_definition(file) == read_definition(file)


def test_own():
    """This project's own has all kinds of work in stages, with a dependency, and keeps the wheel."""
    pipeline = read("cicd-common")
    jobs = {job.name: job for stage in pipeline.stages for job in stage.jobs}
    assert [stage.name for stage in pipeline.stages] == ["check", "test", "package"]
    assert {"lint", "types", "wheel"} <= jobs.keys()
    assert any(job.dependencies for job in jobs.values())
    assert jobs["wheel"].artifacts == ("dist/*.whl",)


def test_allowed_failure():
    assert [job.allow_failure for stage in read("allowed-failure").stages for job in stage.jobs].count(True) == 1


def test_two_hundred():
    """It has 200 jobs, of which most wait for one of their stage."""
    stages = read("two-hundred").stages
    assert [len(stage.jobs) for stage in stages] == [50] * 4
    assert sum(bool(job.dependencies) for stage in stages for job in stage.jobs) == 180
    assert {job.script for stage in stages for job in stage.jobs} == {("true",)}
    assert [job.name for stage in stages for job in stage.jobs] == [f"job {number}" for number in range(1, 201)]


def test_guide(tmp_path):
    """The definition in the guide to the example system is one."""
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "example-system.md").read_text()
    (definition,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    file = tmp_path / "pipeline.yaml"
    file.write_text(definition)
    pipeline = read_definition(file)
    assert [job.name for stage in pipeline.stages for job in stage.jobs] == ["wheel", "unit", "spelling", "upload"]

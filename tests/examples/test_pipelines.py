"""The pipelines of the examples are valid definitions."""

from __future__ import annotations

import re
from pathlib import Path

from cicd_system.cli.definition import read_definition

PIPELINES = sorted((Path(__file__).parents[2] / "examples" / "pipelines").glob("*.yaml"))


def test_sound():
    """Each is a definition, and has what its description says."""
    found = {file.stem: read_definition(file) for file in PIPELINES}
    jobs = {name: [job for stage in each.stages for job in stage.jobs] for name, each in found.items()}
    assert {name: len(each) for name, each in jobs.items()} | {"cicd-common": 0} == {
        "allowed-failure": 3,
        "cicd-common": 0,
        "failing": 4,
        "two-hundred": 200,
    }
    assert any(job.artifacts == ("dist/*.whl",) for job in jobs["cicd-common"])
    assert sum(job.allow_failure for job in jobs["allowed-failure"]) == 1
    assert sum(bool(job.dependencies) for job in jobs["two-hundred"]) == 180


def test_guide(tmp_path):
    """The definition in the guide to the example system is one."""
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "example-system.md").read_text()
    (definition,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    file = tmp_path / "pipeline.yaml"
    file.write_text(definition)
    pipeline = read_definition(file)
    assert [job.name for stage in pipeline.stages for job in stage.jobs] == ["wheel", "unit", "spelling", "upload"]

"""The command line of the package."""

from __future__ import annotations

import io
import json
import os
import runpy
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from cicd_common.__main__ import main
from cicd_common.kinds import ScriptParameters
from cicd_common.model import Job
from cicd_common.schema import schema

Run = Any


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command and returns its exit code, its output and its error output."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as ending:
            code = int(str(ending.code))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files with the current schema and with schemas that differ from it."""
    made = {name: schema() for name in ("today", "stricter", "looser", "default", "neither")}
    retries = {name: made[name]["$defs"]["Job"]["properties"]["retries"] for name in made}
    retries["stricter"]["maximum"] = 5
    retries["looser"]["maximum"] = 20
    retries["default"]["default"] = 1
    retries["neither"].update(minimum=-1, maximum=5)
    for name, each in made.items():
        (tmp_path / name).write_text(json.dumps(each))
    return {name: str(tmp_path / name) for name in made}


class TestSchema:
    def test_prints_that_of_the_contract(self, run: Run) -> None:
        """The schema is printed in ASCII, because patterns contain characters that change the direction of text."""
        code, out, err = run("schema")
        assert (code, json.loads(out), err) == (0, schema(), "")
        assert out.isascii()

    def test_prints_that_of_a_type(self, run: Run) -> None:
        """A type is named by its name, or by its module and its name."""
        assert json.loads(run("schema", "Job")[1]) == schema(Job)
        assert json.loads(run("schema", "cicd_common.kinds:ScriptParameters")[1]) == schema(ScriptParameters)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("Jobs", "expected module:name or a type of the contract: Artifact, "),
            ("cicd_common.kinds:Absent", "has no attribute 'Absent'"),
            ("there.is.none:Job", "No module named 'there'"),
            ("cicd_common.kinds:Kinds", "Kinds.classes: "),
        ],
    )
    def test_what_has_none_is_told(self, run: Run, name: str, message: str) -> None:
        """A name without a schema is an error in one line, with exit code 2."""
        code, out, err = run("schema", name)
        assert (code, out) == (2, "")
        assert message in err.splitlines()[-1]


class TestCompare:
    def test_nothing_changed(self, run: Run, files: dict[str, str]) -> None:
        """Equal schemas have no changes. The default of the new schema is that of the package."""
        assert run("compare", files["today"]) == (0, "changes: 0, breaking and not allowed: 0\n", "")
        assert run("compare", files["stricter"], files["stricter"])[0] == 0

    def test_says_what_breaks(self, run: Run, files: dict[str, str]) -> None:
        """A breaking change is printed with its effect, and the exit code is 1."""
        code, out, err = run("compare", files["today"], files["stricter"])
        assert (code, err) == (1, "")
        assert out.splitlines() == [
            "/$defs/Job/properties/retries: a rule was tightened: maximum was 10 and is 5",
            "  Breaks old writers: new readers refuse some of their documents.",
            "changes: 1, breaking and not allowed: 1",
        ]

    def test_what_breaks_nothing_is_no_failure(self, run: Run, files: dict[str, str]) -> None:
        """A change that breaks nothing is printed, and the exit code is 0."""
        code, out, _ = run("compare", files["today"], files["default"])
        assert code == 0
        assert "the default changed: was 0 and is 1\n  A document means something else to the other side." in out

    @pytest.mark.parametrize(
        ("new", "allowed", "code"),
        [
            ("stricter", ["old-writers"], 0),
            ("stricter", ["old-readers"], 1),
            ("looser", ["old-writers"], 1),
            ("looser", ["old-readers"], 0),
            ("neither", ["old-readers"], 1),
            ("neither", ["old-readers", "old-writers"], 0),
        ],
    )
    def test_breaks_can_be_allowed(
        self, run: Run, files: dict[str, str], new: str, allowed: list[str], code: int
    ) -> None:
        """Breaking changes for old readers, for old writers or for both can be allowed."""
        options = [option for name in allowed for option in ("--allow", name)]
        assert run("compare", files["today"], files[new], *options)[0] == code

    def test_prints_json(self, run: Run, files: dict[str, str]) -> None:
        """With ``--json``, changes are printed as a JSON array."""
        code, out, _ = run("compare", files["today"], files["looser"], "--json")
        assert code == 1
        assert json.loads(out) == [
            {
                "pointer": "/$defs/Job/properties/retries",
                "kind": "RULE_LOOSENED",
                "what": "a rule was loosened",
                "detail": "maximum was 10 and is 20",
                "effects": ["OLD_READERS"],
                "breaks": ["OLD_READERS"],
            }
        ]

    def test_reads_the_standard_input(self, run: Run, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The old or the new schema is read from standard input if its name is ``-``."""
        for arguments in (("-", files["stricter"]), (files["stricter"], "-")):
            monkeypatch.setattr(sys, "stdin", io.StringIO(Path(files["today"]).read_text()))
            assert run("compare", *arguments)[0] == 1

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (None, "cannot read "),
            ("{", "cannot read "),
            ("[" * 100_000, "cannot read "),
            ("{}", "expected JSON Schemas as cicd_common.schema.schema makes"),
        ],
    )
    def test_what_is_no_schema_is_told(self, run: Run, tmp_path: Path, text: str | None, message: str) -> None:
        """A file without a schema is an error in one line, with exit code 2."""
        if text is not None:
            (tmp_path / "file").write_text(text)
        code, out, err = run("compare", str(tmp_path / "file"))
        assert (code, out) == (2, "")
        assert message in err.splitlines()[-1]


class TestProgram:
    def test_runs_as_a_module(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """``python -m cicd_common`` runs the command and exits with its code."""
        monkeypatch.setattr(sys, "argv", ["cicd-common", "schema", "Artifact"])
        monkeypatch.delitem(sys.modules, "cicd_common.__main__")
        with pytest.raises(SystemExit) as caught:
            runpy.run_module("cicd_common", run_name="__main__")
        assert caught.value.code == 0
        assert "Artifact" in capsys.readouterr().out

    def test_runs_from_a_pipe_to_a_pipe(self) -> None:
        """`schema` can be piped into `compare -`."""
        command = [sys.executable, "-m", "cicd_common"]
        made = subprocess.run([*command, "schema"], capture_output=True, check=True)
        compared = subprocess.run([*command, "compare", "-"], input=made.stdout, capture_output=True, check=True)
        assert compared.stdout.startswith(b"changes: 0")

    def test_a_reader_may_stop_early(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command succeeds if the reader has closed its end of the pipe."""
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            assert main(["schema", "Artifact"]) == 0

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    def test_an_output_that_cannot_be_written_is_told(self) -> None:
        """An output that cannot be written is an error with exit code 2, and not 1 as for a breaking change."""
        command = [sys.executable, "-m", "cicd_common", "schema", "Artifact"]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (2, "cicd-common: error: [Errno 28] No space left on device\n")

    def test_needs_a_command(self, run: Run) -> None:
        """Without a command, the usage is printed with the installed name of the program."""
        code, _, err = run()
        assert code == 2
        assert err.startswith("usage: cicd-common ")

    def test_is_installed(self) -> None:
        """The entry point in `setup.cfg` has the name of the usage, and calls `main`."""
        setup = ConfigParser()
        setup.read(Path(__file__).parents[1] / "setup.cfg")
        scripts = setup["options.entry_points"]["console_scripts"].strip()
        assert scripts == f"cicd-common = {main.__module__}:{main.__name__}"

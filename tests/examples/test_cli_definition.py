"""Definitions in files: how they are read, and the places of problems. No file raises another exception."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from cicd_system.cli import yaml_reading
from cicd_system.cli.definition import read_definition
from cicd_system.cli.yaml_reading import MAX_SIZE, FileError, read_yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cicd_common import converter
from cicd_common.model import Pipeline

WHOLE = """\
name: build
repo_url: https://example.org/repo.git
branch: next
stages:
  - name: compile
    jobs:
      - name: make
        script: [make, "make install"]
        docker_image: gcc:14
        working_dir: src
        artifacts: [out/*.o]
  - name: test
    jobs:
      - name: unit
        script: [make test]
      - name: lint
        script: [make lint]
        dependencies: [make, unit]
        allow_failure: true
"""
REPO = "https://example.org/repo.git"
SMALL = "name: a\nstages: [{name: s, jobs: [{name: j, script: [x]}]}]\n"


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def loader(request, monkeypatch):
    """Both parsers of the library: the one in C is not everywhere."""
    monkeypatch.setattr(yaml_reading, "_Loader", getattr(yaml, request.param))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("definitions") / "build.yaml"


def read(path: Path, content: str | bytes) -> Pipeline:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_definition(path, REPO)


def problems(path: Path, content: str | bytes) -> list[str]:
    """What is wrong with a file, a line each, without its name."""
    with pytest.raises(FileError) as caught:
        read(path, content)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def without_ids(pipeline: Pipeline) -> str:
    return re.sub(r"UUID\('[^']*'\)", "", repr(pipeline))


class TestReading:
    def test_whole(self, path):
        """A file has all fields of a definition except ids."""
        path.write_text(WHOLE)
        expected = converter.structure(yaml.safe_load(WHOLE), Pipeline, strict=True)
        assert without_ids(read_definition(path)) == without_ids(expected)

    def test_default(self, tmp_path):
        """Without git the repository is the directory of the file, and the branch is that of the contract."""
        file = tmp_path / "pipeline.yaml"
        file.write_text(SMALL)
        pipeline = read_definition(file)
        assert (pipeline.repo_url, pipeline.branch) == (str(tmp_path), "main")

    def test_whole_numbers(self, path):
        """A number without a point keeps all its digits, or is refused."""
        changed = "script: [x], kind: acme.show, parameters: {n: %s}"
        for written in ("12345678901234567892", "0x1fffffffffffffff", "9007199254740993"):
            (line,) = problems(path, SMALL.replace("script: [x]", changed % written))
            assert "/parameters/n: expected an integer of at most 9,007,199,254,740,991" in line
        assert read(path, SMALL.replace("script: [x]", changed % 2**70)).stages[0].jobs[0].parameters["n"] == 2**70

    @pytest.mark.parametrize("word", ["yes", "off", "2026-11-24", "1:30", "12:30:45", "1_000", "0b1", "<<", "="])
    def test_strings_of_yaml_1_2(self, path, word):
        """Words that only YAML 1.1 reads as other types are strings."""
        assert read(path, SMALL.replace("[x]", f"[{word}]")).stages[0].jobs[0].script == (word,)

    def test_byte_order_mark(self, path):
        """A byte order mark, as some editors write it, is ignored."""
        assert read(path, b"\xef\xbb\xbf" + SMALL.encode()) == read(path, SMALL)


class TestIds:
    def test_same(self, path):
        """The same definition has the same ids, however it is written."""
        written = yaml.safe_dump(yaml.safe_load(WHOLE), default_flow_style=True, sort_keys=True)
        assert read(path, "# A comment\n" + written) == read(path, WHOLE)
        assert read(path, WHOLE.replace("name: unit", "name: unit\n        allow_failure: false")) == read(path, WHOLE)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("name: build", "name: built"),
            ("branch: next", "branch: next\ncommit_hash: a1b2"),
            ("branch: next", "branch: main"),
            ("make lint", "make lints"),
            ("[make, unit]", "[unit, make]"),
            ("unit", "units"),
            ("name: compile", "name: compiled"),
            ("name: unit", "name: unit\n        environment: {LEVEL: debug}"),
        ],
    )
    def test_changed(self, path, old, new):
        """Any change makes all ids new, because a store never changes the definition of an id."""
        assert not ids(read(path, WHOLE)) & ids(read(path, WHOLE.replace(old, new)))

    def test_parameter(self, path):
        """A parameter is content, also if it is named id."""
        changed = "script: [x], kind: acme.show, parameters: {id: %s}"
        found = [read(path, SMALL.replace("script: [x]", changed % number)) for number in (1, 2)]
        assert not ids(found[0]) & ids(found[1])

    def test_own(self, path):
        """A stage and a job of the same name have different ids."""
        assert len(ids(read(path, SMALL.replace("name: j", "name: s")))) == 3


def ids(pipeline: Pipeline) -> set[object]:
    stages = [stage.id for stage in pipeline.stages]
    return {pipeline.id, *stages, *(job.id for stage in pipeline.stages for job in stage.jobs)}


CASES = {
    "empty": ("", ["1:1: the file: expected a Pipeline as a mapping"]),
    "list": ("- name: a", ["1:1: the file: expected a Pipeline as a mapping"]),
    "all at once": (
        (
            "name: 1\nstages:\n  - name: s\n    jobs:\n      - name: j\n        script: make\n      - script:\n"
            "          - echo: a\n          - true\n          -\n        allow_failure: yes\n"
        ),
        [
            "1:1: /name: expected a string; put it into quotes if it is meant as one",
            "6:9: /stages/0/jobs/0/script: expected a list; put each element on a line of its own, after '- '",
            "7:9: /stages/0/jobs/1/name: missing: expected a string",
            (
                "8:13: /stages/0/jobs/1/script/0: expected a string; a ': ' in it makes it a mapping; put it into"
                " quotes if it is meant as a string"
            ),
            "9:13: /stages/0/jobs/1/script/1: expected a string; put it into quotes if it is meant as one",
            "10:12: /stages/0/jobs/1/script/2: expected a string",
            "11:9: /stages/0/jobs/1/allow_failure: expected true or false",
        ],
    ),
    "parameters": (
        SMALL.replace("script", "\n    parameters: {\n      shell: fish,\n      x: 1},\n    script"),
        [
            "4:7: /stages/0/jobs/0/parameters/shell: expected one of sh, bash",
            "5:7: /stages/0/jobs/0/parameters/x: expected no key of this name",
        ],
    ),
    "typing errors": (
        "nam: a\n" + SMALL.replace("script: [x]", "script: [x], scripts: [y], colour: red, idx: 5"),
        [
            "1:1: /nam: expected no key of this name; name may be meant",
            "3:50: /stages/0/jobs/0/scripts: expected no key of this name; script may be meant",
            "3:64: /stages/0/jobs/0/colour: expected no key of this name",
            "3:77: /stages/0/jobs/0/idx: expected no key of this name",
        ],
    ),
    "a line break in a key": ('"x\\ny": 1\n' + SMALL, ["1:1: /x\\ny: expected no key of this name"]),
    "ids": (
        "id: 5\n" + SMALL.replace("script: [x]", "script: [x], id: 5"),
        [
            "1:1: expected no key id; ids come from the content",
            "3:50: expected no key id; ids come from the content",
        ],
    ),
    "cycle": (
        (
            "name: a\nstages:\n  - name: s\n    jobs:\n      - name: i\n        script: [x]\n"
            "        dependencies: [j]\n      - name: j\n        script: [x]\n        dependencies:\n          - i\n"
        ),
        ["7:9: /stages/0/jobs/0/dependencies: expected no cycle of dependencies, found i -> j -> i"],
    ),
    "names twice": (
        (
            "name: a\nstages:\n- name: s\n  jobs: [{name: j, script: [x]}]\n- name: s\n  jobs:\n  - script: [x]\n"
            "    name: j\n"
        ),
        [
            "5:3: /stages/1/name: expected one stage named s, found another",
            "8:5: /stages/1/jobs/0/name: expected one job named j, found another",
        ],
    ),
    "keys twice": (
        "name: a\nname: b\nstages:\n- name: s\n  jobs: [{name: j, script: [x], script: 5}]\n",
        [
            "2:1: expected each key once, this one is at 1:1 too",
            "5:33: expected each key once, this one is at 5:20 too",
        ],
    ),
    "tags": (
        "name: !!python/object/apply:os.system [touch x]\nstages: !!set {a}\n",
        ["1:7: expected no tags", "2:9: expected no tags"],
    ),
    "a tag for strings": ("!!str name: !x a\nstages: []\n", None),
    "anchors": (
        "name: &a x\nstages: [*a, *a]\nbranch: *a\n",
        [
            "1:7: expected no anchors and aliases",
            "2:10: expected no anchors and aliases",
            "2:14: expected no anchors and aliases",
            "3:9: expected no anchors and aliases",
        ],
    ),
    "complex key": ("name: a\n? [b]\n: c\n", ["2:3: expected a string as a key"]),
    "two documents": (SMALL + "---\n" + SMALL, ["3:1: expected one document, this begins a second one"]),
    "NUL": ("name: a\n# ü\0\n", ["2:4: expected UTF-8 without control characters"]),
    "escape sequence": ("name: 'ü\x1b[2J'\n", ["1:9: expected UTF-8 without control characters"]),
    "escaped NUL": (SMALL.replace("[x]", '["a\\0b"]'), ["2:46: expected no NUL character"]),
    "half a character": (SMALL.replace("[x]", '["\\ud800"]'), None),
    "past the last character": (SMALL.replace("[x]", '["\\UFFFFFFFF"]'), None),
    "not UTF-8": (b"name: a\nbranch: \xc3\xbc\xff\n", ["2:10: expected UTF-8 without control characters"]),
    "UTF-16": ("name: a\n".encode("utf-16"), ["1:1: expected UTF-8 without control characters"]),
    "tab": ("name: a\nstages:\n\t- x\n", None),
    "open": ("name: a\nstages: [\n", None),
    "control character in a name": (SMALL.replace("name: a", 'name: "a\\e[2J"'), None),
    "long number": ("name: " + "9" * 5_000 + "\nstages: []\n", None),
    "infinity": ("name: .inf\nbranch: 0x10\nstages: .nan\n", None),
    "directive": ("%YAML 3.0\n---\nname: a\n", None),
    "unknown handle": ("name: !e!x a\n", None),
    "merge": ("name: a\n<<: {branch: b}\nstages: []\n", None),
}


class TestRefused:
    @pytest.mark.parametrize("case", CASES)
    def test_case(self, path, case):
        """Each problem has its place. The messages of the parsers differ, so for them there only has to be one."""
        content, expected = CASES[case]
        found = problems(path, content)
        assert found
        if expected is not None:
            assert found == expected

    @pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "{? "])
    def test_deep(self, path, opening):
        """Deep nesting is refused, by this limit or by that of the parser."""
        last = problems(path, opening * 10_000)[-1]
        assert "nesting" in last or opening.endswith("? ")

    def test_large(self, path):
        """A large file is refused."""
        assert problems(path, b"a" * (MAX_SIZE + 1)) == ["1:1: expected at most 1048576 bytes"]

    def test_endless(self):
        """A file without an end is not read to its end."""
        with pytest.raises(FileError, match="at most 1048576 bytes"):
            read_definition(Path("/dev/zero"))

    @pytest.mark.parametrize("value", ["*.whl", "&& true", "%d", "@here", "`date`"])
    def test_quotes(self, path, value):
        """If a value begins with a character that has a meaning in YAML, the problem says that it needs quotes."""
        (line,) = problems(path, SMALL.replace("[x]", f"[x, {value}]"))
        assert line.partition(": ")[0] in {"2:49", "2:50"}
        assert line.endswith("; what begins with this character needs quotes")

    def test_many(self, path):
        """At most a hundred problems are shown, and a line that there may be more."""
        lines = problems(path, SMALL + "".join(f"k{number}: 1\n" for number in range(150)))
        assert len(lines) == 101
        assert lines[-1] == " there may be more problems"


# Pieces of definitions.
PIECES = [
    *"[]{},:-?&*!|>'\"%@`#~ \n\t\0\x1b\x85\u2028\ufeffé",
    *("\n  ", "\n    ", "- ", ": ", "name: ", "stages:", "jobs:", "script: ", "id: ", "<<: ", "---", "..."),
    *("&a ", "*a", "!!str ", "yes", "1.0", "null", "true", "\\x00", '"\\ud800"'),
]
TEXTS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode(errors="replace")),
    st.lists(st.sampled_from(PIECES), max_size=60).map(lambda pieces: "".join(pieces).encode()),
)


def mutated(parts: list[tuple[int, str]]) -> bytes:
    """A definition with pieces put in."""
    text = WHOLE
    for at, piece in parts:
        text = text[: at % len(text)] + piece + text[at % len(text) :]
    return text.encode()


CHANGED = st.lists(st.tuples(st.integers(0, 2000), st.sampled_from(PIECES)), max_size=3).map(mutated)


@settings(max_examples=200)
@given(content=TEXTS | CHANGED)
@example(content=b"? ? ? ?")
def test_any_file(path, content):
    """Any file is a pipeline, or has problems that are all in it."""
    path.write_bytes(content)
    try:
        read_definition(path, REPO)
    except FileError as error:
        found = [(problem.line, problem.column) for problem in error.problems]
    else:
        return
    lines = len(content.decode(errors="replace").splitlines()) + 1
    assert found
    assert all(1 <= line <= lines and column >= 1 for line, column in found)


# Characters that JSON escapes in one piece. JSON writes the others as two halves, which YAML reads as two characters.
BASIC = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.one_of(st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False))
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, BASIC),
    lambda parts: st.one_of(st.lists(parts, max_size=4), st.dictionaries(BASIC, parts, max_size=4)),
    max_leaves=20,
)


@given(value=PLAIN)
def test_json(path, value):
    """JSON is YAML, and is read as the same data."""
    path.write_text(json.dumps(value))
    try:
        assert read_yaml(path).data == value
    except FileError:
        assert "\\u0000" in path.read_text()

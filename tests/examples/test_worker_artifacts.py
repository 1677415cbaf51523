"""The files that jobs leave, and the patterns that say which of them are artifacts."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest
from attrs import evolve
from cicd_system.worker.artifacts import find_artifacts
from cicd_system.worker.collect import _described

from cicd_common import ExecutionStatus
from cicd_common.api.request import Artifact, ArtifactUploadRequest
from cicd_common.model import Job, Pipeline, Stage
from tests.support.examples.attempts import bench_in

FAILED, SUCCESS = ExecutionStatus.FAILED, ExecutionStatus.SUCCESS


class HaltedError(Exception):
    """The job has to stop."""


def go_on():
    """The job goes on."""


def halting():
    """What goes on for half a second, and then raises."""
    looks = iter(range(5))

    def go_on():
        if next(looks, None) is None:
            raise HaltedError

    return go_on


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "out" / "deep").mkdir(parents=True)
    (root / "out" / "app.txt").write_text("app\n")
    (root / "out" / "deep" / "ünï 1\n").write_bytes(b"\0" * 5)
    (root / "out" / "deep" / ".hidden").touch()
    (root / ".hidden").touch()
    (root / ".git" / "objects").mkdir(parents=True)
    (root / ".git" / "config").write_text("url = https://user:password@example.org\n")
    (root / "out" / ".git").write_text("gitdir: elsewhere\n")  # As in a submodule.
    (tmp_path / "secret").write_text("not yours\n")
    (root / "file-out").symlink_to("../secret")
    (root / "dir-out").symlink_to("..")
    (root / "git-in").symlink_to(".git")
    (root / "file-in").symlink_to("out/app.txt")
    (root / "nowhere").symlink_to("missing")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    return root


def names(root, *patterns):
    return [artifact.path for artifact in find_artifacts(root, patterns, go_on)[0]]


def notes(root, *patterns):
    return find_artifacts(root, patterns, go_on)[1]


DEEP = ["out/deep/.hidden", "out/deep/ünï 1\n"]
OUT = ["out/app.txt", *DEEP]
ALL = [".hidden", "file-in", *OUT]


class TestFiles:
    def test_size_and_digest(self, root):
        (artifact,), _ = find_artifacts(root, ["out/*"], go_on)
        assert (artifact.path, artifact.size) == ("out/app.txt", 4)
        assert artifact.sha256 == sha256(b"app\n").hexdigest()

    def test_each_once(self, root):
        """A file that several patterns match is one artifact."""
        assert names(root, "out/**/*", "out/app.txt", "./out/*", "out//./*") == OUT

    def test_no_patterns(self, root):
        assert names(root) == notes(root) == []

    def test_nothing_that_is_elsewhere(self, root):
        """No pattern takes a file outside of the working copy, by a link or by a path."""
        patterns = ["file-out", "dir-out/", "dir-out/secret", "../*", "out/../../secret", str(root.parent / "*")]
        escaped = [r"\.\./secret", "[.][.]/secret", r"\/" + str(root.parent / "secret").lstrip("/")]
        assert names(root, *patterns, *escaped) == []

    @pytest.mark.parametrize(
        "pattern", [".git/config", ".git/", ".git", "git-in/*", "git-in/", "out/.git", "**/config"]
    )
    def test_nothing_of_git(self, root, pattern):
        """The configuration of git may hold passwords, so nothing in a `.git` is taken."""
        assert names(root, pattern) == []

    def test_names_that_are_not_allowed(self, root):
        """Files whose names the contract does not allow are left out with a note, and the others are told."""
        for name in (b"out/\xff", b"c:x", b"out/a\\b", b"ok"):
            (root / os.fsdecode(name)).touch()
        assert names(root, "*[!t]", "out/*") == [".hidden", "file-in", "ok", "out/app.txt"]
        assert notes(root, "*[!t]", "out/*") == [
            r"artifact left out, its name is not allowed: 'c:x'",
            r"artifact left out, its name is not allowed: 'out/a\\b'",
            r"artifact left out, its name is not allowed: 'out/\udcff'",
        ]

    def test_many_that_are_left_out(self, root):
        """The log names some of them."""
        for number in range(25):
            (root / f"c:{number}").touch()
        assert notes(root, "c:*")[19:] == [
            "artifact left out, its name is not allowed: 'c:4'",
            "5 more artifacts left out, its name is not allowed",
        ]

    def test_unreadable(self, root):
        """A file that cannot be read is left out."""
        assert _described(str(root), ["missing"]) == {"files": [], "unreadable": ["missing"]}

    def test_the_program_fails(self, root, monkeypatch):
        """The job's log says that there are no artifacts."""
        monkeypatch.setattr("cicd_system.worker.artifacts._COLLECT", ("false",))
        assert notes(root, "out") == ["the artifacts cannot be collected"]


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("out/*", ["out/app.txt"]),
            ("out/**", OUT),
            ("out/**/*", OUT),
            ("**/*", ALL),
            ("**", ALL),
            ("out", OUT),
            ("out/", OUT),
            ("./out", OUT),
            ("o*/", OUT),
            ("o*", []),
            (".", ALL),
            ("./", ALL),
            ("out/**.txt", ["out/app.txt"]),
            ("**.txt", []),
            ("**/*.txt", ["out/app.txt"]),
            ("**/deep", []),
            ("**/deep/", DEEP),
            ("**/deep/*", DEEP),
            ("out/[a-c]pp.tx?", ["out/app.txt"]),
            ("OUT/*", []),
            ("out/app.txt", ["out/app.txt"]),
            ("file-in", ["file-in"]),
        ],
    )
    def test_meaning(self, root, pattern, found):
        """A pattern means the same on every version of Python; a folder's name takes what is in the folder."""
        assert names(root, pattern) == found
        assert notes(root, pattern) == ([] if found else [f"no file matches the artifact pattern {pattern!r}"])

    @pytest.mark.parametrize(
        "pattern", ["", "/", "..", "**x", "[", "x\0", "loop/*", "loop", "nowhere", "~", "\\", "pipe"]
    )
    def test_strange_patterns(self, root, pattern):
        """They match nothing, and the job's log says so."""
        assert names(root, pattern) == []
        assert notes(root, pattern) == [f"no file matches the artifact pattern {pattern!r}"]


class TestHalted:
    def test_pattern_that_does_not_end(self, tmp_path):
        """A pattern that takes for ever is given up when the job is halted."""
        (tmp_path / "/".join("d" * 60)).mkdir(parents=True)
        with pytest.raises(HaltedError):
            find_artifacts(tmp_path, ["**/d/**/d/**/d/**/d/**/d/**/f"], halting())

    def test_huge_file(self, tmp_path):
        """So is a file that takes long to read."""
        with (tmp_path / "huge").open("wb") as file:
            file.truncate(60 * 2**30)
        with pytest.raises(HaltedError):
            find_artifacts(tmp_path, ["huge"], halting())

    def test_many_folders_at_once(self, tmp_path):
        """Folders in folders are read once, however many patterns take them."""
        (tmp_path / "/".join("d" * 60)).mkdir(parents=True)
        (tmp_path / "/".join("d" * 60) / "f").touch()
        assert len(names(tmp_path, "**/", "**/**/**/**/**/**/**/**/f")) == 1


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


class TestInputs:
    def test_files_are_in_the_working_copy(self, bench):
        """At their paths, whole, also empty ones and large ones."""
        made = "mkdir -p dist/deep && seq 1 200000 > dist/deep/numbers && touch dist/empty"
        job = pair(bench, made, "tail -n 1 dist/deep/numbers && test -f dist/empty && sha256sum dist/deep/numbers")
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        numbers = "".join(f"{number}\n" for number in range(1, 200_001)).encode()
        assert f"200000\n{sha256(numbers).hexdigest()}  dist/deep/numbers\n" in bench.log(job)

    def test_content_that_is_not_kept_is_told(self, bench):
        """The job does not run without what it needs."""
        job = pair(bench, "mkdir dist && echo here > dist/here", "echo it runs")
        lost = Artifact(path="dist/lost", size=1, sha256="0" * 64)
        bench.store.add_artifacts(ArtifactUploadRequest(job_execution_id=job.inputs[0], artifacts=(lost,)))
        bench.attempt(job)
        assert bench.end(job) == (FAILED, None)
        assert "the content of the artifact 'dist/lost' is not kept" in bench.log(job)
        assert "it runs" not in bench.log(job)

    @pytest.mark.parametrize("place", ["dist", "dist/here"])
    def test_a_link_does_not_lead_out(self, bench, place, tmp_path):
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

"""The files that jobs leave, and the patterns that say which of them are artifacts."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest
from attrs import evolve
from cicd_system.worker import collect
from cicd_system.worker.artifacts import find_artifacts

from cicd_common import ExecutionStatus
from cicd_common.api.request import Artifact, ArtifactUploadRequest
from tests.support.examples.attempts import bench_in


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


def find(root, *patterns):
    """The names of the artifacts, and the lines for the log."""
    artifacts, notes = find_artifacts(root, patterns, lambda: None)
    return [artifact.path for artifact in artifacts], notes


DEEP = ["out/deep/.hidden", "out/deep/ünï 1\n"]
OUT = ["out/app.txt", *DEEP]
ALL = [".hidden", "file-in", *OUT]


class TestFiles:
    def test_size_and_digest(self, root):
        (artifact,), _ = find_artifacts(root, ["out/*"], lambda: None)
        assert artifact == Artifact(path="out/app.txt", size=4, sha256=sha256(b"app\n").hexdigest())

    def test_each_once(self, root):
        """A file that several patterns match is one artifact."""
        assert find(root, "out/**/*", "out/app.txt", "./out/*", "out//./*") == (OUT, [])

    def test_nothing_that_is_elsewhere(self, root, tmp_path):
        """No pattern takes a file outside of the working copy, by a link or by a path, nor files of git.

        A job may have put a link in the place of its working copy.
        """
        patterns = ["file-out", "dir-out/", "dir-out/secret", "../*", "out/../../secret", str(root.parent / "*")]
        escaped = [r"\.\./secret", "[.][.]/secret", r"\/" + str(root.parent / "secret").lstrip("/")]
        of_git = [".git/config", ".git/", ".git", "git-in/*", "git-in/", "out/.git", "**/config"]
        assert find(root, *patterns, *escaped, *of_git)[0] == []
        root.rename(tmp_path / "moved")
        root.symlink_to("moved")
        assert find(root, "**") == ([], ["no file matches the artifact pattern '**'"])

    def test_names_that_are_not_allowed(self, root):
        """Files whose names the contract does not allow are left out with a note, and the others are told."""
        for name in (b"out/\xff", b"c:x", b"out/a\\b", b"ok"):
            (root / os.fsdecode(name)).touch()
        found, notes = find(root, "*[!t]", "out/*")
        assert found == [".hidden", "file-in", "ok", "out/app.txt"]
        assert notes == [
            r"artifact left out, its name is not allowed: 'c:x'",
            r"artifact left out, its name is not allowed: 'out/a\\b'",
            r"artifact left out, its name is not allowed: 'out/\udcff'",
        ]

    def test_many_that_are_left_out(self, root):
        """The log names some of them."""
        for number in range(25):
            (root / f"c:{number}").touch()
        assert find(root, "c:*")[1][19:] == [
            "artifact left out, its name is not allowed: 'c:4'",
            "5 more artifacts left out, its name is not allowed",
        ]

    def test_unreadable(self, root):
        """A file that cannot be read is left out."""
        assert collect._described(str(root), ["missing"]) == {"files": [], "unreadable": ["missing"]}

    def test_the_program_fails(self, root, monkeypatch):
        """The job's log says that there are no artifacts."""
        monkeypatch.setattr("cicd_system.worker.artifacts._COLLECT", ("false",))
        assert find(root, "out") == ([], ["the artifacts cannot be collected"])


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
        assert sorted(collect._files(str(root), pattern)) == found

    def test_strange_patterns(self, root):
        """They match nothing, and the job's log says so."""
        patterns = ["", "/", "..", "**x", "[", "x\0", "loop/*", "loop", "nowhere", "~", "\\", "pipe"]
        expected = [f"no file matches the artifact pattern {pattern!r}" for pattern in patterns]
        assert find(root, *patterns, "out") == (OUT, expected)

    def test_many_folders_at_once(self, tmp_path):
        """Folders in folders are read once, however many patterns take them."""
        (tmp_path / "/".join("d" * 60)).mkdir(parents=True)
        (tmp_path / "/".join("d" * 60) / "f").touch()
        assert len(find(tmp_path, "**/", "**/**/**/**/**/**/**/**/f")[0]) == 1


class TestInputs:
    @pytest.fixture
    def bench(self, tmp_path):
        with bench_in(tmp_path) as bench:
            yield bench

    @pytest.fixture
    def job(self, bench):
        """A job that gets an artifact of another job, whose content is not kept."""
        first = bench.job("true")
        lost = Artifact(path="dist/lost", size=1, sha256="0" * 64)
        bench.store.add_artifacts(ArtifactUploadRequest(job_execution_id=first.job_execution_id, artifacts=(lost,)))
        return evolve(bench.job("echo it runs"), inputs=(first.job_execution_id,))

    def test_content_that_is_not_kept_is_told(self, bench, job):
        """The job does not run without what it needs."""
        bench.attempt(job)
        assert bench.end(job) == (ExecutionStatus.FAILED, None)
        assert "the content of the artifact 'dist/lost' is lost or damaged" in bench.log(job)
        assert "it runs" not in bench.log(job)

    @pytest.mark.parametrize("place", ["dist", "dist/lost"])
    def test_a_link_does_not_lead_out(self, bench, job, place, tmp_path):
        """A repository whose folder or file is a link gets nothing written elsewhere."""
        link = bench.repository / place
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(tmp_path)
        bench.attempt(job)
        assert bench.end(job) == (ExecutionStatus.FAILED, None)
        assert "leads out of the working copy" in bench.log(job)

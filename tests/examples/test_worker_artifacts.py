"""The files that jobs leave, and the patterns that say which of them are artifacts."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest
from cicd_system.worker.artifacts import _collected, collect
from cicd_system.worker.collect import _description
from cicd_system.worker.tools import HaltedError, Tools

GOING_ON = Tools(lambda: False)


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
    return [artifact.path for artifact in collect(GOING_ON, root, patterns).artifacts]


def notes(root, *patterns):
    return list(collect(GOING_ON, root, patterns).notes)


DEEP = ["out/deep/.hidden", "out/deep/ünï 1\n"]
OUT = ["out/app.txt", *DEEP]
ALL = [".hidden", "file-in", *OUT]


class TestFiles:
    def test_size_and_digest(self, root):
        (artifact,) = collect(GOING_ON, root, ["out/*"]).artifacts
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

    def test_names_that_cannot_be_told(self, root):
        """Files whose names the contract does not allow are left out with a note, and the others are told."""
        for name in (b"out/\xff", b"c:x", b"out/a\\b", b"ok"):
            (root / os.fsdecode(name)).touch()
        assert names(root, "*[!t]", "out/*") == [".hidden", "file-in", "ok", "out/app.txt"]
        assert notes(root, "*[!t]", "out/*") == [
            r"artifact left out, its name cannot be told: 'c:x'",
            r"artifact left out, its name cannot be told: 'out/a\\b'",
            r"artifact left out, its name cannot be told: 'out/\udcff'",
        ]

    def test_many_that_are_left_out(self, root):
        """The log names some of them."""
        for number in range(25):
            (root / f"c:{number}").touch()
        assert notes(root, "c:*")[19:] == [
            "artifact left out, its name cannot be told: 'c:4'",
            "5 more artifacts left out, its name cannot be told",
        ]

    def test_unreadable(self, root):
        """A file that cannot be read is left out with a note."""
        assert _description(str(root), "missing") == {"path": "missing", "error": "FileNotFoundError"}
        left = _collected([{"path": "missing", "error": "FileNotFoundError"}], [])
        assert left.notes == ("artifact left out, it cannot be read: 'missing'",)

    def test_the_program_fails(self, root, monkeypatch):
        """The job's log says that there are no artifacts."""
        monkeypatch.setattr("cicd_system.worker.artifacts._PROGRAM", ("false",))
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
        looks = iter([False] * 5)
        halted = Tools(lambda: next(looks, True))
        with pytest.raises(HaltedError):
            collect(halted, tmp_path, ["**/d/**/d/**/d/**/d/**/d/**/f"])

    def test_huge_file(self, tmp_path):
        """So is a file that takes long to read."""
        with (tmp_path / "huge").open("wb") as file:
            file.truncate(60 * 2**30)
        looks = iter([False] * 5)
        with pytest.raises(HaltedError):
            collect(Tools(lambda: next(looks, True)), tmp_path, ["huge"])

    def test_many_folders_at_once(self, tmp_path):
        """Folders in folders are read once, however many patterns take them."""
        (tmp_path / "/".join("d" * 60)).mkdir(parents=True)
        (tmp_path / "/".join("d" * 60) / "f").touch()
        assert len(names(tmp_path, "**/", "**/**/**/**/**/**/**/**/f")) == 1

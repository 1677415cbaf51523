"""Git repositories for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(repository: Path, *arguments: str) -> str:
    """Run git in a repository; what it printed."""
    options = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    options += ["-c", "maintenance.auto=false"]  # It goes on in the background, and writes to the repository.
    command = ["git", "-C", str(repository), *options, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit(repository: Path, word: str) -> str:
    """Let the repository's file hold a word, and commit it; the commit."""
    (repository / "word").write_text(f"the word is {word}\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", word)
    return git(repository, "rev-parse", "HEAD")


def new_repository(path: Path) -> Path:
    """A repository with one commit on the branch main, which is checked out."""
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch", "main")
    commit(path, "first")
    return path

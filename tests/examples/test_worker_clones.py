"""The clones that working copies are copies of."""

from __future__ import annotations

import pytest
from cicd_system.worker.clones import Clones
from cicd_system.worker.tools import HaltedError, Tools

GOING_ON = Tools(lambda: False)


@pytest.fixture
def clones(tmp_path):
    kept = tmp_path / "clones"
    kept.mkdir()
    return Clones(kept)


@pytest.fixture
def copy(clones, tmp_path):
    """Make a copy of a clone; whether the clone was made for it."""
    copies = iter(range(100))

    def copy(source="one", references=b"here main\n"):
        made = []

        def clone(directory):
            (directory / "of").write_text(source)
            made.append(directory)

        target = tmp_path / f"copy-{next(copies)}"
        clones.copy(tmp_path / source, references, target, clone=clone, tools=GOING_ON)
        assert (target / "of").read_text() == source
        (target / "of").write_text("changed by a job")
        return bool(made)

    return copy


def kept_in(directory):
    return sorted((clone / "of").read_text() for clone in (directory / "clones").iterdir())


def test_is_made_once(copy, tmp_path):
    """What a job does to its copy is not in that of the next."""
    assert [copy(), copy(), copy("two"), copy()] == [True, False, True, False]
    assert kept_in(tmp_path) == ["one", "two"]


def test_references_have_changed(copy, tmp_path):
    """A clone has the branches and tags of its repository as they are now."""
    assert [copy(), copy(references=b"there main\n"), copy(references=b"there main\n")] == [True, True, False]
    assert kept_in(tmp_path) == ["one"]


def test_few_are_kept(copy, tmp_path):
    """The clone that was not asked for the longest goes."""
    names = [f"{number:02}" for number in range(16)]
    assert all(copy(name) for name in names)
    assert not copy("00")
    assert copy("another")
    assert kept_in(tmp_path) == ["00", *names[2:], "another"]


def test_is_not_made(clones, tmp_path):
    """Nothing stays of a clone that failed."""

    def fail(directory):
        (directory / "half").write_text("")
        raise HaltedError

    with pytest.raises(HaltedError):
        clones.copy(tmp_path / "one", b"", tmp_path / "copy", clone=fail, tools=GOING_ON)
    assert list((tmp_path / "clones").iterdir()) == []

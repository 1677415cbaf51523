"""The schemas and documents of releases: later versions read them, and breaking changes are in the changelog."""

from __future__ import annotations

import pytest

from cicd_common.converter import ContractConverter
from cicd_common.schema import Change, ChangeKind, compare, schema
from tests.support import releases
from tests.support.contract import ENGINES, TYPES, name_of
from tests.support.releases import FIRST, changelog, documents_of, kept, key_of, not_told, released, schema_of, version

CLASSES = {cls.__name__: cls for cls in TYPES}
OLDER = [each for each in kept() if each != version()]


class TestKept:
    def test_every_release_is(self) -> None:
        """Every version with a date in the changelog has files, and so has the current one."""
        expected = {each for each in (*released(changelog()), version()) if key_of(each) >= FIRST}
        assert set(kept()) == expected
        assert {path.stem for path in releases.DOCUMENTS.iterdir()} == expected

    def test_the_version_under_way_is_as_it_is_now(self) -> None:
        """The schema file of the current version is up to date. ``python -m tests.support.releases`` writes it."""
        assert [str(change) for change in compare(schema_of(version()), schema())] == []

    def test_every_type_has_documents(self) -> None:
        """Every type of the current version has documents."""
        assert {name for name, _ in documents_of(version())} == set(CLASSES)

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    @pytest.mark.parametrize("each", kept())
    def test_documents_are_read(self, each: str, engine: ContractConverter) -> None:
        """The current version reads the documents of every release."""
        for name, document in documents_of(each):
            assert isinstance(engine.loads(document, CLASSES[name]), CLASSES[name])

    def test_what_breaks_the_last_release_is_told(self) -> None:
        """The section "Breaking" of the changelog names each breaking change by its pointer."""
        for last in OLDER[-1:]:
            assert not_told(compare(schema_of(last), schema()), changelog(), since=last) == []


CHANGELOG = """# Changelog

## [0.10.0] - unreleased

### Added

- Not `/a`.

### Breaking

- `/$defs/Job/properties/b` is required.

### Changed

- `/c`

## [0.9.0] - 2026-11-29

### Breaking

- `/d`
"""


class TestTold:
    @pytest.mark.parametrize(
        ("pointer", "since", "is_told"),
        [
            ("/a", "0.9.0", False),
            ("/$defs/Job/properties/b", "0.9.0", True),
            ("/$defs/Job/properties/b", "0.10.0", False),
            ("/$defs/Job", "0.9.0", False),
            ("/c", "0.9.0", False),
            ("/d", "0.9.0", False),
            ("/d", "0.8.12", True),
        ],
    )
    def test_what_breaks_is_named_by_its_pointer(self, pointer: str, since: str, is_told: bool) -> None:
        """A breaking change counts as told if a newer section names its pointer under "Breaking"."""
        change = Change(pointer, ChangeKind.TYPE_CHANGED)
        assert not_told([change], CHANGELOG, since) == ([] if is_told else [str(change)])

    def test_what_breaks_nothing_need_not_be(self) -> None:
        """A change that breaks nothing, such as a field with a default, need not be named."""
        assert not_told([Change("/a", ChangeKind.DEFAULT_FIELD_ADDED)], CHANGELOG, "0.9.0") == []

    def test_released_versions_have_a_date(self) -> None:
        """Versions without a date are not released."""
        assert released(CHANGELOG) == ["0.9.0"]


class TestWriting:
    def test_a_released_version_is_not_written_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Writing the files of a released version is refused."""
        monkeypatch.setattr(releases, "version", lambda: "0.9.0")
        monkeypatch.setattr(releases, "changelog", lambda: CHANGELOG)
        with pytest.raises(SystemExit, match=r"0\.9\.0 was released"):
            releases.write()

"""Golden files, so that every change of the JSON is deliberate."""

import pytest

from tests.support.contract import ENGINES, TYPES, name_of
from tests.support.golden_files import DIRECTORY, files, full, least

FILES = files()


def test_every_type_has_its_file_and_no_file_is_left_over():
    """Each type has one golden file. ``python -m tests.support.golden_files`` writes the files."""
    assert {path.name for path in DIRECTORY.iterdir() if path.is_file()} == set(FILES)


@pytest.mark.parametrize("cls", TYPES, ids=name_of)
@pytest.mark.parametrize("engine", ENGINES, ids=name_of)
class TestGolden:
    def test_is_written_as_it_stands(self, cls, engine):
        """Both engines write exactly the bytes of the golden file."""
        written = [engine.dumps(make(cls)) for make in (full, least)]
        assert written == (DIRECTORY / f"{cls.__name__}.jsonl").read_bytes().splitlines()

    def test_is_read_as_it_was_meant(self, cls, engine):
        """Both engines read the golden file, also strictly, as the objects from which it was written."""
        lines = (DIRECTORY / f"{cls.__name__}.jsonl").read_bytes().splitlines()
        assert [engine.loads(line, cls) for line in lines] == [full(cls), least(cls)]
        assert [engine.loads(line, cls, strict=True) for line in lines] == [full(cls), least(cls)]

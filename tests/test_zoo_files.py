"""Files that come and go while others look."""

from zoo.files import files_below


def test_files_deleted_meanwhile_are_skipped(tmp_path):
    (tmp_path / "folder").mkdir()
    paths = [tmp_path / "one", tmp_path / "two", tmp_path / "folder" / "three"]
    for path in paths:
        path.write_bytes(b"12345")
    assert {path: found.st_size for path, found in files_below(tmp_path)} == dict.fromkeys(paths, 5)
    listed = files_below(tmp_path)
    first, _ = next(listed)
    for path in paths:
        path.unlink()
    (tmp_path / "folder").rmdir()
    assert first in paths and list(listed) == []

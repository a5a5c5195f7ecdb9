"""A file that is written whole or not at all, whoever else writes it and whatever happens meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sm_locust.record.disk import write_whole

WRITES = """
import sys; from concurrent.futures import ThreadPoolExecutor; from pathlib import Path
from sm_locust.record.disk import write_whole
with ThreadPoolExecutor(2) as pool:
    list(pool.map(lambda letter: [write_whole(Path(sys.argv[1]), letter * 1_000_000) for _ in range(10)], sys.argv[2]))
"""


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_whole(path, "was there")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "x" * 1_000_000 + "\ud800")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("run.json", "was there")]
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "no folder" / "run.json", "")


def test_who_reads_while_several_write_sees_one_of_their_files(tmp_path: Path) -> None:
    path = tmp_path / "compare.json"
    write_whole(path, "a" * 1_000_000)
    writers = [subprocess.Popen([sys.executable, "-c", WRITES, str(path), letters]) for letters in ("ab", "cd")]
    while any(writer.poll() is None for writer in writers):
        found = path.read_text()
        assert found == found[0] * 1_000_000
    assert [writer.returncode for writer in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]

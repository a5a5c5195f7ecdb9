"""What is handed out of a run folder, and nothing else."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from sm_locust.plugin.tab import CHUNK, zipped


def test_the_zip_holds_the_files_of_the_folder_piece_by_piece(tmp_path: Path) -> None:
    folder = tmp_path / "a-run"
    folder.mkdir()
    files = {"run.json": b"{}", "intervals.jsonl": os.urandom(5 * CHUNK), "empty.csv": b""}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    pieces = list(zipped(folder, "a-run"))
    assert len(pieces) > 3
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {f"a-run/{n}": d for n, d in files.items()}


def test_neither_links_nor_folders_nor_half_written_files_are_in_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of somebody else")
    folder = tmp_path / "a-run"
    (folder / "more").mkdir(parents=True)
    (folder / "more" / "file").write_text("below")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "report.html.part").write_text("half")
    (folder / "run.json").write_text("{}")
    with zipfile.ZipFile(io.BytesIO(b"".join(zipped(folder, "a-run")))) as archive:
        assert archive.namelist() == ["a-run/run.json"]

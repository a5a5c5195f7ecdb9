"""What is left of a run whose master is killed, or whose folder somebody removes. `make faults` plays the rest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import durability


def test_a_killed_master_leaves_what_it_counted_and_a_removed_folder_is_one_sentence(tmp_path: Path) -> None:
    scenarios = (durability.killed, *durability.DISTURBED)
    folders = [tmp_path / str(n) for n in range(len(scenarios))]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor() as pool:  # each waits, for the most part
        rows = list(pool.map(lambda scenario, folder: scenario(folder), scenarios, folders))
    assert [row for row in rows if not row.holds] == []

"""Every option of every command, given what no option takes: a usage or a sentence, and never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sm_locust.cli import main
from sm_locust.schedule import Phase
from tests.analysis.folders import played

WRONG = ("nan", "inf", "-1", "1e400", "", "\N{GRINNING FACE}", "9" * 5_000, "http://u:p4ss@h/")
CONFIG = """
target: {endpoint: e, region: us-east-1, url: "http://127.0.0.1:9"}
phases: [{name: p, duration: 60, arrival_rate: 10}]
guard: {max_requests: 1}  # so that nothing begins
scaling: {min_instances: 1, max_instances: 2, metric: SageMakerVariantInvocationsPerInstance, target: 25000}
"""


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        elif name not in ("demo", "local"):  # they start, whatever a text option holds
            yield (*path, name), command


ALL = dict(commands(main))


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """By command, what comes before the option."""
    folder = tmp_path_factory.mktemp("arguments")
    (folder / "c.yaml").write_text(CONFIG)
    run, other = (str(played(folder, (Phase("p", 3, 2),)).folder) for _ in range(2))
    given = {"compare": [run, other], "whatif": [run], "summarize": [run], "restore": [str(folder)], "init": []}
    return {name: given.get(name, [str(folder / "c.yaml")]) for *_, name in ALL}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_whatever_an_option_is_given_is_said_in_a_sentence(
    path: tuple[str, ...], arguments: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [option for option in ALL[path].params if isinstance(option, click.Option) and not option.is_flag]
    given = [[*arguments[path[-1]], f"{option.opts[0]}={value}"] for option in options for value in WRONG]
    # In place of a file or a folder, too.
    given += [[value] * max(1, len(arguments[path[-1]])) for value in WRONG[3:]]
    for more in given:
        found = CliRunner().invoke(main, [*path, *more])
        assert found.exception is None or isinstance(found.exception, SystemExit), (more, found.exc_info)
        if found.exit_code == 2 and "Usage: " not in found.stderr and path != ("check",):  # whose 2 is also an answer
            assert found.stderr.startswith("sm-locust: ") and found.stderr.count("\n") <= 2, (more, found.stderr)

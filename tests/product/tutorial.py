"""Plays the first part of docs/tutorial.md as it stands, stopwatch in hand: what its reader does, and no test.

    python -m tests.product.tutorial

takes some eight minutes and wants port 8500 and a machine that does nothing else. Each command runs in a folder like a
fresh checkout's, against the local endpoint that the page has its reader start; what a ```console block shows is
compared. What is shown as ```text, the end of a run, is for who reads this to compare: figures vary.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.product.blocks import ROOT, Block, blocks
from tests.product.test_documentation import as_shown, commands, matches, prepared

PAGE = ROOT / "docs" / "tutorial.md"
ENDPOINT, WEB = 8500, 8089
FOR_WHO_READS = ("python3 -m venv", "export AWS")  # how its blocks begin: `prepared` has done that
PATIENCE = 300.0  # seconds, of one command


def part_one() -> Iterator[Block]:
    ends = PAGE.read_text(encoding="utf-8").partition("\n## Part two")[0].count("\n")
    for block in blocks(PAGE):
        if block.line < ends and block.kind in ("sh", "console"):
            yield block


class Player:
    """A reader with two terminals."""

    def __init__(self, folder: Path, env: dict[str, str], ended: contextlib.ExitStack) -> None:
        self._folder = folder
        self._env = env
        self._ended = ended
        self.faults: list[str] = []

    def play(self, block: Block) -> None:
        began = time.monotonic()
        if block.kind == "console":
            for command, shown in commands(block.text):
                printed = self._run(command)
                if not matches(shown, printed):
                    self.faults.append(f"{block}: {command}")
                    print(f"--- not what {block} shows ---\n{as_shown(printed)}\n---")
        elif any(words in block.text for words in FOR_WHO_READS):
            return
        elif block.text.startswith("sm-locust local"):
            self._start(block.text)
            until(lambda: _answers(ENDPOINT), "the local endpoint")
        elif block.text.startswith("locust") and "--headless" not in block.text:
            self._in_the_browser(block.text)
        else:
            print(self._run(block.text), end="")
        print(f"=== {block}: {time.monotonic() - began:.1f} s", flush=True)

    def _run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        return done.stdout

    def _start(self, command: str) -> tuple[Callable[[], str], Callable[[], None]]:
        """What it has said so far, and its end by Ctrl-C."""
        log = self._folder / f".{command.split()[0]}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

        def end() -> None:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(60)

        self._ended.callback(end)
        return lambda: log.read_text(errors="replace"), end

    def _in_the_browser(self, command: str) -> None:
        """Start is pressed; Ctrl-C once CloudWatch's last minutes are in, which the log says by a second verdict."""
        said, end = self._start(command)
        until(lambda: _answers(WEB), "Locust's web UI")
        urllib.request.urlopen(f"http://127.0.0.1:{WEB}/swarm", b"user_count=0&spawn_rate=0").close()
        until(lambda: said().count("report.html") >= 2, "the end of the run", PATIENCE)
        end()
        print(said(), end="")


def until(is_so: Callable[[], bool], what: str, patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come in {patience:.0f} s")
        time.sleep(0.2)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def main() -> int:
    if _answers(ENDPOINT) or _answers(WEB):
        print(f"ports {ENDPOINT} and {WEB} are wanted, and one of them is taken", file=sys.stderr)
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ended:
        folder = Path(name)
        player = Player(folder, prepared(folder), ended)
        for block in part_one():
            player.play(block)
    print(f"=== in all {time.monotonic() - began:.0f} s; {len(player.faults)} not as shown {player.faults}")
    return 1 if player.faults else 0


if __name__ == "__main__":
    sys.exit(main())

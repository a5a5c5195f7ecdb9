"""What README and docs/ show is what a reader gets. Which blocks there are, blocks.py says.

A ```console block holds one command or more, each on a line that begins with `$ `, and under it what it prints. The
blocks of a page are run in their order, in one folder that holds the checkout's configs/, locustfiles/, shapes/ and
deploy/, in an environment without AWS's settings and without a price cache, and not on a terminal. In what is
printed `…` stands for anything within a line, and a line of `…` alone for any lines. A block that names
http://127.0.0.1:8500 finds a local endpoint there, freshly started, and has the key pair that it knows.
`runs/demo/before` and its like are made.py's.

The ```python blocks of a page are run by play.py; a host that is somebody's example is a local one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from docs import generate
from tests.product.blocks import PAGES, Block, blocks, fault
from tests.product.made import put_runs_named
from tests.runs.harness import endpoint, environment

ROOT = Path(__file__).parents[2]
LOCAL = "http://127.0.0.1:8500"
EXAMPLES = ("http://localhost:8000", "http://127.0.0.1:8000")  # somebody's own server, which answers
AN_API = "https://abc123.execute-api.us-east-1.amazonaws.com"  # for which the local endpoint's stands in
NOBODY = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
SHIPPED = ("configs", "locustfiles", "shapes", "deploy")

BLOCKS = {page: blocks(page) for page in PAGES}


def of_kind(kind: str) -> list[object]:
    """The pages with blocks of a kind that are run, for parametrize."""
    found = {page: [b for b in of if b.kind == kind and b.reason is None] for page, of in BLOCKS.items()}
    return [pytest.param(of, id=str(page.relative_to(ROOT))) for page, of in found.items() if of]


def commands(block: str) -> list[tuple[str, str]]:
    """Each command of a block, with what it is said to print. A line that ends in a backslash goes on."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    found = [re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)\n?(.*)", part, re.DOTALL) for part in parts]
    return [(re.sub(r"\\\n\s*", "", match[1]), match[2]) for match in found if match]


def as_shown(text: str) -> str:
    """Without what nobody sees: spaces at the end of a line, empty lines around the whole."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def matches(shown: str, printed: str) -> bool:
    anything, any_lines = ".*", r"(?:.*\n)*.*"
    lines = as_shown(shown).split("\n")
    patterns = [any_lines if line == "…" else re.escape(line).replace("…", anything) for line in lines]
    return re.fullmatch("\n".join(patterns), as_shown(printed)) is not None


def prepared(folder: Path) -> dict[str, str]:
    """A folder like the checkout's, and the environment to run what is shown in it."""
    for name in SHIPPED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    programs = folder / ".programs"
    programs.mkdir()
    for name, start in (("sm-locust", "from sm_locust.cli import main"), ("locust", "from locust.main import main")):
        program = programs / name
        program.write_text(f"#!{sys.executable}\nimport sys\nsys.argv[0] = {name!r}\n{start}\nmain()\n")
        program.chmod(0o755)
    alone = {
        name: value for name, value in environment().items() if not name.startswith(("COLUMNS", "FORCE_COLOR", "TTY_"))
    }
    path = f"{programs}{os.pathsep}{alone.get('PATH', os.defpath)}"
    return {**alone, "XDG_CACHE_HOME": str(folder / ".cache"), "PYTHONPATH": str(ROOT), "PATH": path}


def printed_by(command: str, folder: Path, env: dict[str, str]) -> str:
    """What a command prints, errors included."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("shown_on_a_page", of_kind("console"))
def test_a_command_that_is_shown_prints_what_stands_there(shown_on_a_page: list[Block], tmp_path: Path) -> None:
    here = tmp_path / "checkout"
    here.mkdir()
    env = prepared(here)
    for block in shown_on_a_page:
        put_runs_named(block.text, here)
        if LOCAL in block.text:
            with endpoint(tmp_path) as local:
                here = follow(block, here, env, local.url)
        else:
            here = follow(
                block, here, {name: value for name, value in env.items() if not name.startswith("AWS_")} | NOBODY
            )


def follow(block: Block, folder: Path, env: dict[str, str], url: str = LOCAL) -> Path:
    """Runs the commands of a block, and says where that led to."""
    for command, shown in commands(block.text):
        words = shlex.split(command)
        if words[0] == "cd":
            folder = folder / words[1]
            continue
        printed = printed_by(command.replace(LOCAL, url), folder, env).replace(url, LOCAL)
        if not matches(shown, printed):
            assert as_shown(printed) == as_shown(shown), f"{block}: {command}"  # says where they part
    return folder


class Answers(BaseHTTPRequestHandler):
    """A server that is well."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What stands in for the hosts of examples: a local endpoint, and a server that is well."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with endpoint(tmp_path_factory.mktemp("endpoint")) as local:
            well = f"http://127.0.0.1:{server.server_port}"
            yield {LOCAL: local.url, AN_API: local.url, **dict.fromkeys(EXAMPLES, well)}
    finally:
        server.shutdown()
        server.server_close()


def at(hosts: dict[str, str], text: str) -> str:
    for example, url in hosts.items():
        text = text.replace(example, url)
    return text


@pytest.mark.parametrize("shown_on_a_page", of_kind("python"))
def test_a_program_that_is_shown_runs(shown_on_a_page: list[Block], hosts: dict[str, str], tmp_path: Path) -> None:
    env = prepared(tmp_path)
    put_runs_named("".join(block.text for block in shown_on_a_page), tmp_path)
    config = tmp_path / "configs" / "local.yaml"
    at_once = "cloudwatch: {period: 1s}"  # a run is over once CloudWatch's last period is
    config.write_text(f"{at(hosts, config.read_text('utf-8'))}\n{at_once}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.product.play", str(tmp_path)],
        cwd=ROOT,
        env={**env, "AWS_DEFAULT_REGION": "us-east-1"},
        input=json.dumps([{"name": str(block), "text": at(hosts, block.text)} for block in shown_on_a_page]),
        capture_output=True,
        text=True,
        timeout=120,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_each_block_is_run_or_says_why_not_and_names_only_what_is_there(page: Path) -> None:
    assert not list(filter(None, map(fault, BLOCKS[page])))


@pytest.mark.parametrize("page", list(generate.pages()), ids=lambda page: page.name)
def test_options_keys_and_names_are_those_of_the_code(page: Path) -> None:
    """Where it fails: `python -m docs.generate` writes them anew."""
    text = page.read_text(encoding="utf-8")
    assert generate.regenerated(text) == text


def test_every_option_command_and_key_is_documented() -> None:
    shown = {found["name"] for page in generate.pages() for found in generate.PLACE.finditer(page.read_text("utf-8"))}
    assert shown == set(generate.GENERATORS)


def anchors(page: Path) -> set[str]:
    """Those of a page's headings, as code hosts make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)).strip().lower().replace(" ", "-")
        for heading in headings
    }


LINK = re.compile(r"""\]\(([^)\s]+)\)|(?:src|srcset|href)=["']([^"']+)["']""")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_within_the_checkout_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for found in LINK.finditer(re.sub(r"`[^`]*`", "", text)):
        link = found[1] or found[2]
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link
            assert "--" not in anchor, f"{link}: the site makes one dash of two"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert page.name in navigation, page.name


def test_the_readme_is_short_and_says_how_to_run_the_tests() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 200
    assert re.search(r"^    make test$", readme, re.MULTILINE)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a\nb", True),
        ("a  \n", "\na\n", True),
        ("a\nb\n", "a\nc", False),
        ("a.c", "abc", False),
        ("took … ms", "took 12 ms", True),
        ("took … ms", "took 12 ms\nand more", False),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("a\n…\nz", "a\nb\nc\n", False),
    ],
)
def test_output_is_compared_to_the_letter_but_for_what_is_left_out(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def test_a_block_may_hold_several_commands() -> None:
    assert commands("$ sm-locust a\nx\n\ny\n$ sm-locust b c\nz\n") == [
        ("sm-locust a", "x\n\ny\n"),
        ("sm-locust b c", "z\n"),
    ]


def test_a_command_may_go_on_in_the_next_line() -> None:
    assert commands("$ sm-locust a \\\n    --b\nx\n") == [("sm-locust a --b", "x\n")]

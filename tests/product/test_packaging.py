"""What a user installs: sdist to wheel to an environment elsewhere; and what `make` says when it cannot set one up."""

from __future__ import annotations

import configparser
import email
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.message import Message
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests import versions
from tests.product import workflows

ROOT = Path(__file__).parents[2]
STARTERS = ["configs", "locustfiles", "shapes"]


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment of its own: this test may itself be a child of make, with a path of its own."""
    ours = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH"}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, "LC_ALL": "C", **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


def starters_under(folder: Path) -> dict[str, bytes]:
    """Path below the folder → content, of every file in the three folders of starters."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for kind in STARTERS
        for file in sorted((folder / kind).rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from that sdist."""
    source = tmp_path_factory.mktemp("checkout") / "source"
    versions.copy_checkout(source)
    done = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", source.parent / "dist", cwd=source)
    assert done.returncode == 0, done.stdout + done.stderr
    return source.parent / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, bytes]:
    """Path → content of what the wheel holds."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(files: dict[str, bytes]) -> Message:
    (name,) = (name for name in files if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(files[name])


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of an environment are that has the wheel, and what it needs from that of the tests."""
    env = tmp_path_factory.mktemp("elsewhere") / "env"
    venv.create(env, with_pip=False, symlinks=True)
    python = env / "bin" / "python"
    done = run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel),
        cwd=env,
    )
    assert done.returncode == 0, done.stderr
    # Behind its own, and only as a path: what an editable installation puts there to be found is not heard.
    (site,) = env.glob("lib/python*/site-packages")
    (site / "of-the-tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    locust = env / "bin" / "locust"
    locust.write_text(f"#!{python}\nimport sys\nfrom locust.main import main\nsys.exit(main())\n")
    locust.chmod(0o755)
    return env / "bin"


def test_an_installation_elsewhere_lists_the_starters_as_real_files(elsewhere: Path, tmp_path: Path) -> None:
    code = "from importlib.resources import files; print(files('sm_locust') / 'starters')"
    installed = Path(run(elsewhere / "python", "-c", code, cwd=tmp_path).stdout.strip())

    assert installed.is_relative_to(elsewhere.parent)
    assert not [path for path in installed.rglob("*") if path.is_symlink()]
    assert starters_under(installed) == starters_under(ROOT)


def test_there_is_one_version(elsewhere: Path, metadata: Message, tmp_path: Path) -> None:
    known = configparser.ConfigParser(interpolation=None)
    known.read(ROOT / "setup.cfg", encoding="utf-8")
    version = known["metadata"]["version"]
    assert metadata["Version"] == version
    assert run(elsewhere / "sm-locust", "--version", cwd=tmp_path).stdout.split()[-1] == version
    run(elsewhere / "sm-locust", "init", "made", cwd=tmp_path)
    assert (tmp_path / "made" / "requirements.txt").read_text() == f"sm-locust[local]=={version}\n"


def test_the_page_of_versions_is_as_it_was_measured() -> None:
    page = versions.DOCUMENT.read_text(encoding="utf-8")
    table = versions.read(page)
    assert versions.written(table) == page
    measured = next(iter(table))
    same = {row: cell for row, cell in table[measured].items() if not row.startswith("tests/")}
    assert versions.merged(table, measured, same, {}) == table
    assert versions.merged(table, measured, same | {"locust": "another"}, {})[measured] == same | {"locust": "another"}


def test_what_init_makes_plays_in_both_workflows_and_the_slo_is_the_gate(elsewhere: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some body's" / "load test"
    made = run(elsewhere / "sm-locust", "init", folder, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    workflows.shorten(folder)
    runner = workflows.Runner(folder, elsewhere)
    try:
        steps = runner.steps("load-test-local.yml")
        assert list(steps) == ["Install", "Start the local endpoint", "Play the load", "Show the result"]
        for name, script in steps.items():
            done = runner.play(script)
            wanted = workflows.code_of(folder, slo=True) if name == "Play the load" else 0
            assert done.returncode == wanted, f"{name}: {done.stdout}"
            if name == "Play the load":
                assert "Aggregated" not in done.stdout.partition("Shutting down")[0], "a table of Locust's on the way"
        assert "SLO PASSED" in runner.shown.read_text()
        assert list(folder.glob("runs/*/report.html"))

        # The account's, with an SLO that nobody keeps, against another endpoint: it would ask whose the traffic was.
        runner.end()
        runner.play(steps["Start the local endpoint"])
        account = folder / "configs" / "account.yaml"
        account.write_text(account.read_text().replace("latency_p99: 200ms", "latency_p99: 1ms"))
        steps = runner.steps("load-test.yml")
        assert list(steps) == [
            *("Install", "Say what will be sent", "Ask what stands in the way", "Play the load", "Show the result")
        ]
        for name, script in list(steps.items())[1:]:
            done = runner.play(script.replace("--headless", "--headless --sm-speed 60"))
            wanted = workflows.code_of(folder, slo=False) if name == "Play the load" else 0
            assert done.returncode == wanted, f"{name}: {done.stdout}"
        assert "SLO FAILED" in runner.shown.read_text()
    finally:
        runner.end()


def test_every_folder_of_starters_holds_something() -> None:
    assert {name.split("/")[0] for name in starters_under(ROOT)} == set(STARTERS)


def test_the_checkout_keeps_one_copy_of_each_starter() -> None:
    starters = (ROOT / "sm_locust" / "starters").iterdir()
    links = {link.name: link.resolve() for link in starters if link.is_symlink()}
    assert links == {kind: ROOT / kind for kind in STARTERS}


def test_no_starter_takes_the_name_of_a_module(tmp_path: Path) -> None:
    # Locust puts each file into sys.modules under its stem: `shapes/statistics.py` would replace the library's own.
    stems = [Path(name).stem for name in starters_under(ROOT) if name.endswith(".py")]
    assert len(set(stems)) == len(stems), "two starters of one stem cannot be combined on one command line"

    code = "import importlib.util as u, sys; print([s for s in sys.argv[1:] if u.find_spec(s)])"
    done = run(sys.executable, "-I", "-c", code, *stems, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_wheel_holds_the_package_and_nothing_beside_it(files: dict[str, bytes]) -> None:
    tops = {name.split("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sm_locust"}
    assert not [name for name in files if "__pycache__" in name or name.endswith(".pyc") or "test_" in name]


def test_the_wheel_holds_every_file_of_the_package(files: dict[str, bytes]) -> None:
    # Not only modules: a style sheet that package_data does not name is there in a checkout and missing for a user.
    here = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in (ROOT / "sm_locust").rglob("*")
        if path.is_file() and {"__pycache__", *STARTERS}.isdisjoint(path.parts)
    }
    assert {name: content for name, content in files.items() if name in here} == here


def test_the_wheel_says_that_it_is_typed(files: dict[str, bytes]) -> None:
    assert "sm_locust/py.typed" in files


def test_the_wheel_carries_its_licence(files: dict[str, bytes], metadata: Message) -> None:
    assert metadata["License"] == "Apache-2.0" or metadata["License-Expression"] == "Apache-2.0"
    licences = [content for name, content in files.items() if name.endswith("/LICENSE")]
    assert licences == [(ROOT / "LICENSE").read_bytes()]


def test_the_wheel_asks_for_the_python_it_is_tested_with(metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.11"


def test_every_dependency_is_bounded_on_both_sides(metadata: Message) -> None:
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    assert requirements
    unbounded = [str(r) for r in requirements if {s.operator for s in r.specifier} != {">=", "<"}]
    assert unbounded == []


def test_the_console_script_is_the_command_line(files: dict[str, bytes]) -> None:
    (name,) = (name for name in files if name.endswith(".dist-info/entry_points.txt"))
    assert files[name].decode().split("\n")[:2] == ["[console_scripts]", "sm-locust = sm_locust.cli:main"]
    assert callable(EntryPoint("sm-locust", "sm_locust.cli:main", "console_scripts").load())


def test_the_sdist_can_be_tested(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"CHANGELOG.md", "LICENSE", "Makefile", "README.md", ".ci/run", "tests/conftest.py", *starters_under(ROOT)}
    wanted |= {"benchmarks/__main__.py", "benchmarks/locustfiles/scheduled.py"}  # make bench
    wanted |= {"deploy/Dockerfile", "deploy/Dockerfile.dockerignore", "deploy/constraints.txt", "deploy/fleet.yaml"}
    wanted |= {"docs/distributed.md", "docs/versions.md", "tests/runs/harness.py"}
    assert wanted <= inside


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what make reads, and nothing set up."""
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def pretending(folder: Path, pretence: str) -> Path:
    """A Python that runs `-c CODE` after a pretence: make's own checks run, and find what they look for."""
    script = folder / "pretending-python"
    script.write_text(f"""#!/bin/sh\nexec {sys.executable} -c '{pretence}; exec(sys.argv[1])' "$2"\n""")
    script.chmod(0o755)
    return script


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that was said, beside make's own."""
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("make: *** "))
    return line


def test_a_python_that_is_too_old_is_named_with_the_fix(checkout: Path) -> None:
    old = pretending(checkout, "import sys; sys.version_info = (3, 9, 2)")
    done = run("make", "demo", f"PYTHON={old}", cwd=checkout)
    assert complaint(done) == (
        f"{old} is Python 3.9.2 and 3.11 or newer is needed: make demo PYTHON=/path/to/python3.11"
    )
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_not_there_is_named_with_the_fix(checkout: Path) -> None:
    done = run("make", "test", "PYTHON=no-such-python", cwd=checkout)
    assert complaint(done) == (
        "no-such-python does not run: install Python 3.11 or newer, or name one: make test PYTHON=/path/to/python3.11"
    )


def test_a_python_without_venv_is_named_with_the_fix(checkout: Path) -> None:
    bare = pretending(checkout, 'import sys; sys.modules["ensurepip"] = None')
    done = run("make", "test", f"PYTHON={bare}", cwd=checkout)
    assert complaint(done) == (
        f"{bare} has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv) and run make test again"
    )
    assert not (checkout / ".venv").exists()


def test_a_failed_download_is_said_in_one_line_and_leaves_no_stamp(checkout: Path) -> None:
    half_made = checkout / ".venv" / "bin" / "python"
    half_made.parent.mkdir(parents=True)
    half_made.write_text("what a set-up that was interrupted left")

    done = run("make", "demo", f"PYTHON={sys.executable}", cwd=checkout, PIP_NO_INDEX="1", PIP_FIND_LINKS="")

    announced, _, rest = done.stderr.partition("\n")
    assert announced == "Setting up .venv with local dependencies (once, about a minute) ..."
    assert done.returncode != 0
    (said,) = (line for line in rest.splitlines() if not line.startswith("make: *** "))
    assert said.startswith(
        "pip could not install the dependencies: check the network or pip's settings and run make demo again ("
    )
    assert said.endswith("No matching distribution found for setuptools<85,>=83; all of it is in .venv/pip.log)")
    assert not (checkout / ".venv" / ".local").exists()
    assert run(half_made, "-m", "pip", "--version", cwd=checkout).returncode == 0, "it kept the half-made .venv"


def test_a_browser_that_is_not_there_is_named_with_the_fix(checkout: Path) -> None:
    done = run("make", "browser", "CHROMIUM=/no/such/chromium", cwd=checkout)
    assert complaint(done) == (
        "/no/such/chromium is missing: install it (Debian: apt-get install chromium) and run make browser again"
    )
    assert not (checkout / ".venv").exists()


def test_make_alone_lists_its_targets(checkout: Path) -> None:
    done = run("make", cwd=checkout)
    assert [line.split()[:2] for line in done.stdout.splitlines()][:4] == [
        ["make", "help"],
        ["make", "demo"],
        ["make", "test"],
        ["make", "lint"],
    ]

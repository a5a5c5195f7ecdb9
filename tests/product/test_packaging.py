"""What a user installs: sdist to wheel to an environment elsewhere; and what `make` says when it cannot set one up."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.message import Message
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
STARTERS = ["configs", "locustfiles", "shapes"]
NOT_SOURCE = shutil.ignore_patterns(
    *(".git", ".venv", "runs", "build", "dist", "*.egg-info", "__pycache__", ".*_cache"),
    *(".peers", "results", "node_modules"),
)


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment of its own: this test may itself be a child of make."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
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
    shutil.copytree(ROOT, source, symlinks=True, ignore=NOT_SOURCE)
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


def test_an_installation_elsewhere_lists_the_starters_as_real_files(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    done = run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr

    code = "from importlib.resources import files; print(files('sm_locust') / 'starters')"
    installed = Path(run(python, "-c", code, cwd=tmp_path).stdout.strip())

    assert installed.is_relative_to(tmp_path)
    assert not [path for path in installed.rglob("*") if path.is_symlink()]
    assert starters_under(installed) == starters_under(ROOT)
    assert (tmp_path / "env" / "bin" / "sm-locust").exists()


def test_every_folder_of_starters_holds_something() -> None:
    assert {name.split("/")[0] for name in starters_under(ROOT)} == set(STARTERS)


def test_the_checkout_keeps_one_copy_of_each_starter() -> None:
    links = {link.name: link.resolve() for link in (ROOT / "sm_locust" / "starters").iterdir()}
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
        if path.is_file() and {"starters", "__pycache__"}.isdisjoint(path.parts)
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
    wanted |= {"docs/distributed.md"}
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

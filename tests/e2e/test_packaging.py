"""The package as a user gets it: built, installed into a fresh environment, called by its name."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from brama.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
PACKAGES = ("brama", "supervisor", "bot_worker", "webhook", "jobs", "sandbox")
VERSION = "0.1.0"
SUPERVISORD = "supervisor==4.3.0"


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in ``cwd``, outside the checkout, with nothing of the checkout on its path."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def pip(*arguments: str | Path, cwd: Path) -> None:
    """Run this environment's pip; an error fails the test with what pip said."""
    done = run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


class Environment:
    """A fresh virtual environment in ``folder``."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self.folder = folder
        self.bin = folder / "bin"
        self.site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))

    def install(self, *files: Path) -> None:
        """Install wheel ``files`` in this order, one call each, as an operator would over time.

        What they depend on is borrowed from the environment the tests run in.
        """
        # Appended to sys.path as it stands: .pth files in there, our editable install's too, are not read.
        (self.site / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        for file in files:
            self.pip("install", "--no-deps", "--no-index", file)

    def pip(self, *arguments: str | Path) -> None:
        """Run pip on this environment."""
        pip("--python", self.bin / "python", *arguments, cwd=self.folder)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the installed ``brama-supervisor``."""
        return run(self.bin / "brama-supervisor", *arguments, cwd=self.folder)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "venv")


@pytest.fixture(scope="session")
def clean_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout with the tracked files only, as they are now."""
    listed = run("git", "ls-files", "-z", cwd=ROOT)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: what a clone would hold is unknown")
    clone = tmp_path_factory.mktemp("clone")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    return clone


@pytest.fixture(scope="session")
def wheel(clean_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel built from a clean clone."""
    target = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", target, clean_clone, cwd=target)
    return next(target.glob("*.whl"))


@pytest.fixture(scope="session")
def supervisord(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return supervisord's own wheel, downloaded once; without a package index, skip (fail where CI=true)."""
    target = tmp_path_factory.mktemp("supervisord")
    command = ["download", "--no-deps", "--only-binary=:all:", "--retries=1", "-d", str(target), SUPERVISORD]
    done = run(sys.executable, "-m", "pip", *command, cwd=target)
    if done.returncode != 0:
        reason = f"cannot download {SUPERVISORD}: {done.stderr.strip().splitlines()[-1]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return next(target.glob("*.whl"))


@pytest.fixture
def index(supervisord: Path) -> None:
    """Ask for a package index: whoever needs one is skipped, or fails, as supervisord's download says."""


def test_the_wheel_holds_every_file_of_every_package_and_nothing_else(wheel: Path, clean_clone: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    tracked = {
        str(path.relative_to(clean_clone))
        for package in PACKAGES
        for path in (clean_clone / package).rglob("*")
        if path.is_file()
    }
    assert packed == tracked


def test_the_command_of_the_wheel_answers(environment: Environment, wheel: Path) -> None:
    environment.install(wheel)
    assert_answers(environment)


def test_pip_install_from_a_clean_clone_gives_a_working_command(
    environment: Environment, clean_clone: Path, index: None
) -> None:
    environment.pip("install", clean_clone)
    environment.pip("check")
    assert_answers(environment)


def assert_answers(environment: Environment) -> None:
    """Assert that the installed command knows its version and its verbs, and says nothing on stderr."""
    version = environment.command("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert VERSION in version.stdout
    usage = environment.command("--help")
    assert (usage.returncode, usage.stderr) == (0, "")
    for verb in ("start", "stop", "restart", "status", "logs", "check", "dead-letters", "demo", "sandbox"):
        assert verb in usage.stdout


@pytest.mark.parametrize("ours_first", [True, False], ids=["supervisord last", "supervisord first"])
def test_supervisord_in_the_same_environment_is_refused(
    ours_first: bool, environment: Environment, wheel: Path, supervisord: Path
) -> None:
    environment.install(*((wheel, supervisord) if ours_first else (supervisord, wheel)))
    refused = environment.command("status")
    assert refused.returncode == ExitCode.CONFIG
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert f"supervisord {SUPERVISORD.partition('==')[2]}" in refused.stderr
    assert "python3 -m venv" in refused.stderr

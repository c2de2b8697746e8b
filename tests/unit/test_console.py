"""The console script's look for supervisord, on made-up folders."""

from pathlib import Path

import pytest

from brama.console import find_conflict


@pytest.fixture
def own_root(tmp_path: Path) -> Path:
    """Return a folder in which our package lies as pip would have put it."""
    root = tmp_path / "site-packages"
    package(root)
    (root / "brama_supervisor-0.1.0.dist-info").mkdir()
    return root


def package(folder: Path) -> None:
    (folder / "supervisor").mkdir(parents=True)
    (folder / "supervisor" / "__init__.py").touch()


def test_an_environment_of_its_own_is_accepted(own_root: Path, tmp_path: Path) -> None:
    search_path = [str(tmp_path / "python311.zip"), str(tmp_path), str(own_root)]
    assert find_conflict(search_path, str(own_root)) is None


@pytest.mark.parametrize(
    "metadata",
    [
        "supervisor-4.2.5.dist-info",
        "supervisor-4.2.5.egg-info",
        "supervisor-4.2.5-py3.11.egg-info",
        "Supervisor-4.2.5.dist-info",
    ],
)
def test_supervisord_is_refused_by_its_metadata_whatever_file_won(own_root: Path, metadata: str) -> None:
    (own_root / metadata).mkdir()
    conflict = find_conflict([str(own_root)], str(own_root))
    assert conflict is not None
    assert f"supervisord 4.2.5, whose import name is ours, is installed in {own_root};" in conflict
    assert "python3 -m venv" in conflict
    assert "\n" not in conflict


def test_a_plugin_of_supervisord_is_no_supervisord(own_root: Path) -> None:
    (own_root / "supervisor_checks-0.8.1.dist-info").mkdir()
    (own_root / "supervisor-checks-0.8.1.egg-info").mkdir()
    assert find_conflict([str(own_root)], str(own_root)) is None


def test_a_package_that_hides_ours_is_refused(own_root: Path, tmp_path: Path) -> None:
    package(tmp_path / "elsewhere")
    conflict = find_conflict([str(tmp_path / "elsewhere"), str(own_root)], str(own_root))
    assert conflict is not None
    assert f"{tmp_path}/elsewhere/supervisor, hides ours, {own_root}/supervisor;" in conflict


def test_a_module_that_hides_ours_is_refused(own_root: Path, tmp_path: Path) -> None:
    (tmp_path / "supervisor.py").touch()
    conflict = find_conflict([str(tmp_path), str(own_root)], str(own_root))
    assert conflict is not None
    assert "supervisor.py, hides ours" in conflict


def test_a_package_behind_ours_hides_nothing(own_root: Path, tmp_path: Path) -> None:
    package(tmp_path / "elsewhere")
    assert find_conflict([str(own_root), str(tmp_path / "elsewhere")], str(own_root)) is None


def test_our_package_reached_through_a_link_is_ours(own_root: Path, tmp_path: Path) -> None:
    (tmp_path / "lib64").symlink_to(own_root)
    assert find_conflict([str(tmp_path / "lib64")], str(own_root)) is None

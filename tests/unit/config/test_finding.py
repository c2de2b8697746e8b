"""Where the configuration is found."""

from pathlib import Path

import pytest

from brama.config.finding import find_config, project_root_of
from brama.errors import ConfigError


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("bots: []")
    return path


def test_the_option_wins_over_the_variable_over_the_folders(tmp_path: Path):
    option, variable, local = (write(tmp_path / name) for name in ("a.yaml", "b.yaml", "config/brama.yaml"))
    environ = {"BRAMA_CONFIG": str(variable)}
    assert find_config("a.yaml", environ, tmp_path) == option
    assert find_config(None, environ, tmp_path) == variable
    assert find_config(None, {}, tmp_path) == local
    assert find_config(None, {"BRAMA_CONFIG": ""}, tmp_path) == local


def test_folders_above_are_searched_the_nearest_first(tmp_path: Path):
    outer = write(tmp_path / "config/brama.yaml")
    deep = tmp_path / "a/b/c"
    deep.mkdir(parents=True)
    assert find_config(None, {}, deep) == outer
    inner = write(tmp_path / "a/b/brama.yaml")
    assert find_config(None, {}, deep) == inner
    preferred = write(tmp_path / "a/b/config/brama.yaml")
    assert find_config(None, {}, deep) == preferred
    assert find_config(None, {}, preferred.parent) == preferred


def test_what_was_tried_is_said(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        find_config(None, {}, tmp_path)
    for word in ("config/brama.yaml", str(tmp_path), "--config", "BRAMA_CONFIG"):
        assert word in str(caught.value)
    with pytest.raises(ConfigError, match=r"--config: x.yaml does not exist"):
        find_config("x.yaml", {}, tmp_path)
    with pytest.raises(ConfigError, match=r"BRAMA_CONFIG: . is a folder"):
        find_config(None, {"BRAMA_CONFIG": "."}, tmp_path)


def test_project_roots():
    assert project_root_of(Path("/a/config/brama.yaml")) == Path("/a")
    assert project_root_of(Path("/a/etc/brama.yaml")) == Path("/a/etc")


def test_a_link_is_kept(tmp_path: Path):
    """As Kubernetes mounts files: the project root is where the link stands."""
    target = write(tmp_path / "..data/brama.yaml")
    link = tmp_path / "config/brama.yaml"
    link.parent.mkdir()
    link.symlink_to(target)
    assert find_config(None, {}, tmp_path) == link
    assert find_config("config/../config/brama.yaml", {}, tmp_path) == link

"""Finds the configuration file."""

import os
from collections.abc import Mapping
from pathlib import Path

from brama.errors import ConfigError

#: Where a configuration is looked for below a folder, in this order.
NAMES = ("config/brama.yaml", "brama.yaml")


def find_config(option: Path | str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the absolute path of the configuration; a link is kept, so that paths start where it stands.

    Args:
        option: what ``--config`` says; it wins.
        environ: ``BRAMA_CONFIG`` comes next.
        cwd: last, ``config/brama.yaml`` or ``brama.yaml`` here or in a folder above.

    Raises:
        ConfigError: there is none; the text says what was tried.
    """
    named = [("--config", option), ("BRAMA_CONFIG", environ.get("BRAMA_CONFIG"))]
    for origin, name in named:
        if name:
            path = Path(os.path.abspath(cwd / Path(name).expanduser()))
            if not path.is_file():
                kind = "is a folder" if path.is_dir() else "does not exist"
                raise ConfigError(f"{origin}: {name} {kind}; name a YAML file such as config/brama.yaml")
            return path
    cwd = Path(os.path.abspath(cwd))
    for folder in (cwd, *cwd.parents):
        for name in NAMES:
            if (folder / name).is_file():
                return folder / name
    raise ConfigError(
        f"no configuration: no {' or '.join(NAMES)} in {cwd} or any folder above; "
        "use --config FILE, or set BRAMA_CONFIG"
    )


def project_root_of(config_path: Path) -> Path:
    """Return the folder where relative paths of a configuration start."""
    folder = config_path.parent
    return folder.parent if folder.name == "config" else folder

"""Looks whether a bot's entry point exists, without importing anything of it."""

import importlib.util
from importlib.machinery import ModuleSpec, all_suffixes
from pathlib import Path


def find_script_fault(script: Path) -> str | None:
    """Return what keeps the file ``script`` from being run, None if nothing does."""
    try:
        with script.open("rb"):
            return None
    except FileNotFoundError:
        return f"{script} does not exist; relative paths start at the project root"
    except IsADirectoryError:
        return f"{script} is a folder; name the script in it"
    except OSError as error:
        return f"{script} cannot be read: {error.strerror}"


def find_app_fault(app: str, project_root: Path) -> str | None:
    """Return why ``package.module:function`` has no module, None if it has one.

    The module is looked for in ``project_root`` and among what is installed here; whether it has the function
    is known once a worker imports it.
    """
    module = app.partition(":")[0]
    first, *rest = module.split(".")
    folders = _step([project_root], first)
    if folders is None:
        spec = _find_installed(first)
        if spec is None:
            return f'module "{first}" of {app} is neither in {project_root} nor installed'
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    known = first
    for name in rest:
        found = _step(folders, name)
        if found is None:
            return f'there is no module "{name}" in {known}, for {app}'
        folders, known = found, f"{known}.{name}"
    return None


def find_module_fault(module: str, project_root: Path) -> str | None:
    """Return why ``module`` cannot be imported, None if its outermost package or module is there.

    What is below that may come into being on import, as ``os.path`` does.
    """
    first = module.partition(".")[0]
    if _step([project_root], first) is not None or _find_installed(first) is not None:
        return None
    return f'there is no module "{first}", neither in {project_root} nor installed'


def _find_installed(name: str) -> ModuleSpec | None:
    """Return the spec of the top-level module ``name``; for such a name this imports nothing."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _step(folders: list[Path], name: str) -> list[Path] | None:
    """Return the folders to search below module ``name``: none if it is a file, None if it is not there."""
    namespaces = []
    for folder in folders:
        package = folder / name
        if (package / "__init__.py").is_file():
            return [package]
        if any((folder / f"{name}{suffix}").is_file() for suffix in all_suffixes()):
            return []
        if package.is_dir():
            namespaces.append(package)
    return namespaces or None

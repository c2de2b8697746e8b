"""The rules of the house that import-linter cannot express, read from the sources."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("brama", "supervisor", "bot_worker", "webhook", "jobs", "sandbox")
FOLDERS = {*PACKAGES, "config", "logs", "deploy", "benchmarks", "docs", "tests"}

#: The modules of supervisord 4: one of ours with such a name would be overwritten, or overwrite.
# fmt: off
SUPERVISORDS = {
    "childutils", "compat", "confecho", "datatypes", "dispatchers", "events", "http", "http_client",
    "loggers", "medusa", "options", "pidproxy", "poller", "process", "rpcinterface", "scripts",
    "skel", "socket_manager", "states", "supervisorctl", "supervisord", "templating", "tests", "ui",
    "web", "xmlrpc",
}
# fmt: on


def modules(*folders: str) -> list[Path]:
    """Return the Python files below ``folders`` of the checkout."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def calls(tree: ast.AST) -> set[str]:
    """Return the dotted names of what is called, as far as they are names."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def imports(tree: ast.AST) -> set[str]:
    """Return the dotted names of what is imported: modules, and what is taken out of them."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(module), names=aliases):
                names |= {module, *(f"{module}.{alias.name}" for alias in aliases)}
    return names


def test_no_module_of_ours_has_the_name_of_one_of_supervisords() -> None:
    ours = {path.stem for path in (ROOT / "supervisor").iterdir()} - {"__init__", "__pycache__"}
    assert ours & SUPERVISORDS == set()


def test_the_top_level_folders_are_the_rooms_of_the_house() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/*") if not path.parent.name.startswith(".")}
    assert folders - {"state", "build", "dist"} <= FOLDERS


@pytest.mark.parametrize(
    "path", modules(*PACKAGES, "tests", "benchmarks"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_source_file_keeps_the_rules(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source)
    where = path.relative_to(ROOT)
    if path.name == "__init__.py" and where != Path("brama/__init__.py"):
        assert not source, "importing a package loads nothing"
    if where.parts[0] == "tests" and not where.parts[1].startswith("bots"):  # which do as bots do
        assert not calls(tree) & {"time.sleep", "asyncio.sleep", "sleep"}, (
            "wait for a condition: tests/waiting.py"
        )
        assert "time" not in imports(tree), "brama.clock is the door to the clocks"

"""The documentation does what it says: its five minutes are lived, and its commands exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sandbox.client import SandboxControl
from supervisor.cli import app
from tests.fixtures.sandbox import RunningSandbox
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

COMMANDS = [
    pytest.param(shlex.split(line, comments=True)[1:], id=f"{document.stem}: {line.split('#')[0].strip()}")
    for document in DOCUMENTS
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", document.read_text(), re.DOTALL)
    for line in re.findall(r"^(?:\$ )?(brama-supervisor .*)$", block, re.MULTILINE)
]


def block_after(marker: str) -> str:
    """Return the fenced block that follows ``marker`` in the README."""
    found = re.search(re.escape(marker) + r"\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found is not None, marker
    return found.group(1)


def test_the_five_minutes_of_the_readme(
    tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bots/echo.py", "config/brama.yaml"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(block_after(f"<!-- file: {name} -->"))
    secrets = tmp_path / "config" / ".env"
    secrets.write_text(f"ECHO_BOT_TOKEN={sandbox.token(1)}\n")
    secrets.chmod(0o600)
    monkeypatch.setenv("BRAMA_TELEGRAM__BASE_URL", sandbox.base_url)
    monkeypatch.setenv("BRAMA_API__PORT", "0")
    monkeypatch.setenv("PATH", str(BIN), prepend=":")

    def type_in(command: str) -> str:
        done = subprocess.run(shlex.split(command), cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    commands = [line for line in block_after("into the environment. Then:\n").splitlines() if line]
    assert [shlex.split(command)[1] for command in commands] == ["check", "start", "status", "logs", "stop"]
    type_in(commands[0])
    try:
        type_in(commands[1])
        answer = talk(sandbox.control, bot=int(sandbox.token(1).split(":")[0]))
        assert answer == "is anybody there?"
        assert re.search(r"^echo +RUNNING +ok", type_in(commands[2]), re.MULTILINE)
        type_in(commands[3])
    finally:
        type_in(commands[4])


def talk(control: SandboxControl, bot: int) -> str:
    """Write to a bot and return what it says."""
    control.send_messages(bot, 5, "is anybody there?")
    (call,) = wait_until(lambda: control.sent(bot, wait_s=5.0), what="the bot's answer")
    return str(call.params["text"])


@pytest.mark.parametrize("arguments", COMMANDS)
def test_every_command_of_the_documentation_exists(arguments: list[str]) -> None:
    command = typer.main.get_command(app)
    path = ""
    while subcommands := getattr(command, "commands", None):
        path, *arguments = arguments
        command = subcommands[path]
    assert command.make_context(path, arguments).params is not None

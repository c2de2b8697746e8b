"""What an operator or a bot gets wrong is said in one place, in one line each, and harms nobody else."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from brama.exit_codes import ExitCode
from tests.fixtures.fleet import Fleet, new_fleet, require_root
from tests.fixtures.sandbox import RunningSandbox, make_token, running_sandbox

NOBODY = 65534


def lines_of(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


def test_everything_wrong_with_a_configuration_is_in_one_report(fleet):
    good, twin = make_token(1001), make_token(1002)
    fleet.folder.mkdir(exist_ok=True)
    fleet.config.write_text(
        dedent(f"""
        nonsense: 1
        limits: {{worker_timeout: soon}}
        bots:
          - {{id: shop, token: "{good}", script: {fleet.folder}/nowhere.py}}
          - {{id: shop, token: "{twin}", app: "no_such_package.bot:build"}}
          - {{id: support, token: "{good}", script: {__file__}}}
          - {{id: ../up, token: "${{NO_SUCH_TOKEN}}", script: {__file__}}}
        """)
    )
    done = fleet.run("start")
    assert (done.returncode, done.stdout) == (ExitCode.CONFIG, "")
    lines = lines_of(done)
    expected = [
        ":2: nonsense",
        ":3: limits.worker_timeout",
        ":5: bots[0].script",
        ":6: bots[1].id",
        ":6: bots[1].app",
        ":7: bots[2].token",
        ":8: bots[3].id",
        ":8: bots[3].token",
    ]
    assert len(lines) == len(expected)
    for words in expected:
        assert any(words in line for line in lines), words
    for words in ('"soon"', "nowhere.py", "NO_SUCH_TOKEN", '"../up"', "no_such_package", "already the id"):
        assert words in done.stderr
    assert good not in done.stderr
    assert not fleet.state_dir.exists()
    assert not fleet.sandbox.control.bots()


BROKEN = {
    "import-fails": ("import no_such_library\n", "no_such_library", "import-fails.py"),
    "no-syntax": ("def main(:\n", "SyntaxError", "no-syntax.py"),
    "build-raises": (
        "def main():\n    raise RuntimeError('the oven is cold')\nmain()\n",
        "the oven is cold",
        "build-raises.py",
    ),
    "never-polls": (
        "from telegram.ext import Application\nApplication.builder().token('x').build()\n",
        "polled",
        "run_polling()",
    ),
}


@pytest.fixture(scope="module")
def troubled(tmp_path_factory) -> Iterator[Fleet]:
    """One bot that works among those that do not."""
    with running_sandbox() as sandbox, new_fleet(tmp_path_factory.mktemp("fleet"), sandbox) as fleet:
        fleet.add("shop")
        for bot_id, (text, _, _) in BROKEN.items():
            script = fleet.folder / f"{bot_id}.py"
            script.write_text(text)
            fleet.add(bot_id, script)
        fleet.add("unwanted")
        sandbox.control.revoke(fleet.bots["unwanted"].telegram_id)
        fleet.start()
        fleet.wait_state("RUNNING", "shop")
        yield fleet


@pytest.mark.parametrize("bot_id", BROKEN)
def test_a_bot_that_cannot_run_is_fatal_with_the_reason(troubled, bot_id):
    _, words, place = BROKEN[bot_id]
    troubled.wait_state("FATAL", bot_id)
    reason = troubled.worker(bot_id).reason
    assert words in reason
    assert place in reason
    assert "\n" not in reason


def test_a_rejected_token_is_fatal_until_another_is_configured(troubled):
    troubled.wait_state("FATAL", "unwanted")
    worker = troubled.worker("unwanted")
    assert worker.ingress == "unauthorized"
    assert worker.reason == "Telegram rejected the token: 401 Unauthorized"


def test_the_others_answer(troubled):
    assert troubled.bots["shop"].ask("hello") == "hello"
    assert troubled.run("status").returncode == ExitCode.FAILED


def test_a_second_instance_is_one_line_and_the_first_goes_on(troubled):
    done = troubled.run("start")
    assert done.returncode == ExitCode.FAILED
    [line] = lines_of(done)
    assert str(troubled.process.pid) in line
    assert troubled.bots["shop"].ask("still there?") == "still there?"


def test_a_token_rejected_while_the_bot_runs(troubled):
    """The last one of this fleet: Telegram ends it."""
    bot = troubled.bots["shop"]
    bot.sandbox.control.revoke(bot.telegram_id)
    bot.send("wakes the poll")
    troubled.wait_state("FATAL", "shop")
    assert "401" in troubled.worker("shop").reason
    bot.sandbox.control.restore(bot.telegram_id)
    troubled.command("start", "shop")
    troubled.wait_state("RUNNING", "shop")
    assert bot.ask("back") == "back"


def test_a_damaged_state_file_is_never_replaced(fleet):
    fleet.add("shop")
    fleet.start_and_wait()
    assert fleet.stop() == 0
    database = fleet.state_dir / "brama.db"
    content = bytearray(database.read_bytes())
    content[:4096] = os.urandom(4096)
    database.write_bytes(content)
    done = fleet.run("start")
    assert done.returncode == ExitCode.FAILED
    [line] = [line for line in lines_of(done) if line.startswith("brama-supervisor: ")]
    assert str(database) in line
    assert database.read_bytes() == bytes(content)


@pytest.fixture
def unprivileged(sandbox: RunningSandbox, open_folder: Path) -> Iterator[Fleet]:
    """A fleet that a user without rights runs, in a folder where that user may write."""
    require_root("to become somebody else")
    with new_fleet(open_folder / "project", sandbox) as fleet:
        # Python itself may lie in root's home; the right to read there is none to write anywhere.
        reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        fleet.prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reading]
        fleet.environ["HOME"] = str(fleet.folder)
        fleet.environ["COVERAGE_PROCESS_CONFIG"] = ""  # its data could not be written there
        shutil.chown(fleet.folder, NOBODY, NOBODY)
        yield fleet


def test_a_state_folder_that_cannot_be_written_is_one_line(unprivileged):
    unprivileged.add("shop")
    unprivileged.configure()
    unprivileged.state_dir.mkdir(mode=0o555)
    done = unprivileged.run("start")
    assert done.returncode == ExitCode.FAILED
    [line] = lines_of(done)
    assert str(unprivileged.state_dir) in line
    assert "state_dir" in line


def test_a_state_file_that_cannot_be_written_is_one_line(unprivileged):
    unprivileged.add("shop")
    unprivileged.configure()
    unprivileged.state_dir.mkdir()
    shutil.chown(unprivileged.state_dir, NOBODY)
    database = unprivileged.state_dir / "brama.db"
    database.write_bytes(b"")
    database.chmod(0o444)
    done = unprivileged.run("start")
    assert done.returncode == ExitCode.FAILED
    [line] = [line for line in lines_of(done) if line.startswith("brama-supervisor: ")]
    assert str(database) in line


@pytest.mark.parametrize("how", [["start"], ["start", "--daemon"]])
def test_a_log_folder_that_cannot_be_written_is_one_line(unprivileged, how):
    unprivileged.add("shop")
    place = unprivileged.folder / "readonly"
    unprivileged.sections["logs_dir"] = str(place / "logs")
    unprivileged.configure()
    place.mkdir(mode=0o555)
    done = unprivileged.run(*how)
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    [line] = lines_of(done)
    assert f"logs_dir: {place}/logs/master.log cannot be written: Permission denied" in line


def test_without_root_a_fleet_runs_as_well(unprivileged):
    bot = unprivileged.add("shop")
    unprivileged.configure()
    unprivileged.start_and_wait()
    assert bot.ask("hello") == "hello"
    status = Path(f"/proc/{unprivileged.pid('shop')}/status").read_text()
    assert f"Uid:\t{NOBODY}\t" in status
    assert unprivileged.stop() == 0

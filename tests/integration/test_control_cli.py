"""The commands that talk to a master, against one without bots that runs as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from brama.errors import UnreachableError
from brama.exit_codes import ExitCode
from supervisor.cli import run
from supervisor.commands.project import locate
from supervisor.control import client
from tests.waiting import wait_until


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "state").mkdir()
    config = tmp_path / "config" / "brama.yaml"
    config.write_text("bots:\n  - {id: shop, token: '${NOT_SET}'}\n  - {id: support, token: '${NEITHER}'}\n")
    monkeypatch.setenv("BRAMA_CONFIG", str(config))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tmp_path


@pytest.fixture
def master_config():
    """The configuration, below the project, that the master says it has; empty for one elsewhere."""
    return ""


@pytest.fixture
def master(project, master_config):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.fakes_control",
            str(project / "state"),
            *([str(project / master_config)] if master_config else []),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def cli(capfd):
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        sys.stdout.flush()
        said = capfd.readouterr()
        return code, said.out, said.err

    return call


def test_status_is_a_table_with_totals(cli, master):
    code, out, err = cli("status")
    assert (code, err) == (0, "")
    assert out.splitlines()[3].startswith("shop     RUNNING")
    assert out.splitlines()[-3].startswith("2 bots: 2 running")
    assert out.splitlines()[-2].startswith("removed bot news (1003): 12 updates and 3 dead letters are kept")


def test_status_json_is_the_document(cli, master):
    code, out, _ = cli("status", "--json")
    assert code == 0
    assert [each["bot_id"] for each in json.loads(out)["workers"]] == ["shop", "support"]
    assert json.loads(out)["master"]["pid"] == master.pid


def test_without_a_master_status_exits_3_and_the_rest_69(cli, project):
    config = str(project / "config" / "brama.yaml")
    code, out, err = cli("status")
    assert (code, out) == (ExitCode.NO_MASTER, "")
    assert err == (
        f"brama-supervisor: no master runs for {config}; "
        f"start one: brama-supervisor start --daemon --config {config}\n"
    )
    for command in (
        ("start", "shop"),
        ("stop", "shop"),
        ("restart", "shop"),
        ("reload",),
        ("orphans", "list"),
        ("orphans", "drop", "1003", "--yes"),
        ("dead-letters", "list"),
        ("dead-letters", "replay", "17"),
        ("dead-letters", "drop", "17", "--yes"),
    ):
        code, out, err = cli(*command)
        assert (code, out) == (ExitCode.UNAVAILABLE, ""), command
        assert err.count("\n") == 1
        assert f"no master runs for {config}; start one: " in err
    assert cli("stop")[::2] == (
        ExitCode.UNAVAILABLE,
        f"brama-supervisor: no master runs for {config}; there is nothing to stop\n",
    )


def test_a_socket_that_a_dead_master_left_is_no_master(cli, project):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(project / "state" / "brama.sock"))
    left.close()
    assert cli("status")[0] == ExitCode.NO_MASTER


def test_bots_are_commanded_and_followed_to_where_they_get(cli, master):
    assert cli("stop", "shop") == (0, "shop: STOPPED\n", "")
    assert cli("status")[0] == 0
    assert cli("start", "shop", "shop") == (0, "shop: RUNNING (pid 4800)\n", "")
    assert cli("restart", "support", "shop") == (
        0,
        "support: RUNNING (pid 4800)\nshop: RUNNING (pid 4800)\n",
        "",
    )


def test_a_reload_says_what_it_did_and_what_waits(cli, master):
    code, out, err = cli("reload")
    assert (code, err) == (0, "warning: a warning\n")
    assert out.splitlines() == [
        "shop: restarts (script and env)",
        "news: started, it is new",
        "applied: limits.max_workers",
        "waits for brama-supervisor restart: api.port",
    ]
    code, out, _ = cli("reload", "--dry-run")
    assert (code, out.splitlines()[1:3]) == (0, ["news: starts, it is new", "applies: limits.max_workers"])


@pytest.mark.parametrize("master_config", ["wrong.yaml"])
def test_a_refused_reload_says_all_that_is_wrong(cli, master, project):
    code, out, err = cli("reload")
    wrong = project / "wrong.yaml"
    assert (code, out) == (ExitCode.CONFIG, "")
    config = project / "config" / "brama.yaml"
    assert err == (
        f"brama-supervisor: {wrong}:3: bots[0].script: is missing (configuration: {config})\n"
        f"brama-supervisor: {wrong}:9: bots[1].id: is missing (configuration: {config})\n"
    )


def test_orphans_are_listed_and_dropped_with_a_yes(cli, master):
    code, out, _ = cli("orphans", "list")
    assert code == 0
    assert out == (
        "removed bot news (1003): 12 updates and 3 dead letters are kept until it is configured again, "
        "or orphans drop 1003\n"
        "removed bot 1004: 0 updates and 1 dead letter are kept until it is configured again, "
        "or orphans drop 1004\n"
    )
    assert [each["telegram_id"] for each in json.loads(cli("orphans", "list", "--json")[1])] == [1003, 1004]
    assert cli("orphans", "drop", "1003")[0] == ExitCode.USAGE
    assert cli("orphans", "drop", "1003", "--yes") == (0, "dropped 15 updates\n", "")
    assert "nothing is kept of a bot 1003" in cli("orphans", "drop", "1003", "--yes")[2]


def test_an_unknown_bot_is_answered_with_near_names(cli, master, project):
    code, out, err = cli("restart", "shp")
    assert (code, out) == (ExitCode.FAILED, "")
    config = project / "config" / "brama.yaml"
    assert err == f"brama-supervisor: no bot is named 'shp'; did you mean shop? (configuration: {config})\n"


def test_stop_waits_until_the_master_has_gone(cli, master):
    code, out, _ = cli("stop")
    assert (code, out) == (0, f"stopped (pid {master.pid})\n")
    assert master.wait(timeout=1) == 0
    assert cli("status")[0] == ExitCode.NO_MASTER


def test_a_master_that_does_not_answer_is_waited_for_and_ended_by_interrupt(project, master):
    os.kill(master.pid, signal.SIGSTOP)
    command = subprocess.Popen(
        [sys.executable, "-c", "from brama.console import main; main()", "status"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: "socket:" in _links(command.pid), what="the command has connected")
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=20)
    assert (command.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_a_master_that_hangs_is_told_from_none(cli, master, monkeypatch):
    monkeypatch.setattr(client, "ANSWER_TIMEOUT_S", 0.2)
    os.kill(master.pid, signal.SIGSTOP)
    code, out, err = cli("status")
    assert (code, out) == (ExitCode.UNAVAILABLE, "")
    assert "the master does not answer" in err


def test_another_users_master_is_told_from_none(project, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client._UnixConnection, "connect", refuse)
    with pytest.raises(UnreachableError, match="another user's"):
        client.ControlClient(project / "state" / "brama.sock").status()


def _links(pid: int) -> str:
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(fd))
        except OSError:
            continue
    return " ".join(links)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "--nonsense"),
        ("nonsense",),
        ("logs", "-n", "many"),
        ("logs", "a", "b"),
        ("dead-letters", "show"),
        ("dead-letters", "show", "seventeen"),
        ("dead-letters", "replay"),
        ("dead-letters", "replay", "17", "--all"),
        ("dead-letters", "replay", "--bot", "shop"),
        ("dead-letters", "drop", "17", "--bot", "shop", "--all"),
        ("start", "shop", "--daemon"),
        ("sandbox", "--port", "70000"),
    ],
)
def test_wrong_usage_exits_64_with_one_line(cli, project, arguments):
    code, out, err = cli(*arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.count("\n") == 1
    assert err.startswith("brama-supervisor")
    assert err.rstrip().endswith("--help")


@pytest.mark.parametrize("arguments", [(), ("dead-letters",)])
def test_a_command_line_without_command_shows_help_and_exits_64(cli, arguments):
    code, out, err = cli(*arguments)
    assert code == ExitCode.USAGE
    assert "Usage:" in out + err


@pytest.mark.parametrize(
    "command",
    [
        *(
            "start",
            "stop",
            "restart",
            "check",
            "status",
            "logs",
            "demo",
            "sandbox",
            "version",
            "dead-letters",
        ),
        *("dead-letters list", "dead-letters show", "dead-letters replay", "dead-letters drop"),
    ],
)
def test_every_command_has_help(cli, command):
    code, out, err = cli(*command.split(), "--help")
    assert (code, err) == (0, "")
    assert f"Usage: brama-supervisor {command}" in out


def test_the_version(cli):
    code, out, _ = cli("version")
    assert code == 0
    assert out.startswith("brama-supervisor ")
    assert cli("--version")[1] == out


def test_no_configuration_exits_78_and_says_what_was_tried(cli, tmp_path, monkeypatch):
    monkeypatch.delenv("BRAMA_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("status")
    assert code == ExitCode.CONFIG
    assert "--config FILE" in err
    assert str(tmp_path) in err


def test_the_configuration_is_found_before_and_after_the_command(cli, project, master, monkeypatch):
    monkeypatch.delenv("BRAMA_CONFIG")
    monkeypatch.chdir("/")
    config = str(project / "config" / "brama.yaml")
    assert cli("status", "--config", config)[0] == 0
    assert cli("--config", config, "status")[0] == 0
    monkeypatch.chdir(project / "state")
    assert cli("status")[0] == 0


def test_dead_letters_need_a_yes_to_be_dropped(cli, master):
    code, out, err = cli("dead-letters", "drop", "17")
    assert (code, out) == (ExitCode.USAGE, "")
    assert "--yes" in err


def test_no_dead_letters(cli, master):
    assert cli("dead-letters", "list") == (0, "no dead letters\n", "")
    assert cli("dead-letters", "list", "--bot", "shop", "--json") == (0, "[]\n", "")
    assert cli("dead-letters", "show", "17")[0] == ExitCode.FAILED


def test_logs_work_without_a_master(cli, project):
    logs = project / "logs"
    logs.mkdir()
    (logs / "master.log").write_text('{"event": "master.started"}\n{"event": "bot.started"}\n')
    (logs / "worker_shop.log").write_text("hello\nno newline")
    (logs / "worker_gone.log").write_text("of a bot that left the configuration\n")
    assert cli("logs") == (0, '{"event": "master.started"}\n{"event": "bot.started"}\n', "")
    assert cli("logs", "master", "-n", "1") == (0, '{"event": "bot.started"}\n', "")
    assert cli("logs", "shop") == (0, "hello\nno newline\n", "")
    assert cli("logs", "gone")[1] == "of a bot that left the configuration\n"
    code, _, err = cli("logs", "support")
    assert code == ExitCode.FAILED
    missing = logs / "worker_support.log"
    assert f"{missing} is not there: support has not run with this logs_dir, or the file was moved" in err
    (logs / "master.log").unlink()
    code, _, err = cli("logs")
    assert code == ExitCode.FAILED
    assert f"{logs}/master.log is not there: no master has run with this logs_dir, or the file was" in err
    for name in ("suport", "../state/brama.db"):
        code, out, err = cli("logs", name)
        assert (code, out) == (ExitCode.FAILED, "")
        assert "no bot is named" in err


def test_folders_come_from_the_environment_the_dotenv_and_the_file(tmp_path):
    config = tmp_path / "brama.yaml"
    config.write_text(
        "x-base: &base {id: fromalias, state_dir: no}\n"
        "state_dir: ${WHERE}/st\n"
        "limits: {state_dir: no}\n"
        "bots:\n"
        "  - id: a\n    env: {id: no}\n    args: [id, no]\n"
        "  - {settings: {id: no, list: [{id: no}]}, id: b}\n"
        "  - *base\n"
    )
    (tmp_path / ".env").write_text("a wrong line\nWHERE=fromdotenv\n")
    found = locate(config, {}, Path("/"))
    assert (found.state_dir, found.logs_dir) == (tmp_path / "fromdotenv/st", tmp_path / "logs")
    assert found.bots == ("a", "b")
    found = locate(config, {"WHERE": "/abs", "BRAMA_LOGS_DIR": "../elsewhere"}, Path("/"))
    assert (found.state_dir, found.logs_dir) == (Path("/abs/st"), tmp_path.parent / "elsewhere")


def test_folders_are_those_that_the_whole_configuration_has(tmp_path):
    from brama.config.loading import load_settings

    (tmp_path / "config").mkdir()
    config = tmp_path / "config" / "brama.yaml"
    for text in (
        "bots: []\n",
        "state_dir: ~/st\nlogs_dir: ../l/./x\n",
        "state_dir: ${A:-b}\nlogs_dir: '${C}'\n",
    ):
        config.write_text(text)
        environ = {"C": "/c", "BRAMA_LOGS_DIR": ""}
        settings, project = load_settings(config, environ), locate(config, environ, Path("/"))
        assert (project.state_dir, project.logs_dir) == (settings.state_dir, settings.logs_dir)


BROKEN = "mode: polling\nbots:\n  - id: shop\n  - {id: support\nlogs_dir: 'l'  # here\n"


def test_a_file_that_is_no_yaml(cli, project):
    config = project / "config" / "brama.yaml"
    config.write_text(BROKEN)
    for command in (("status",), ("stop",), ("restart", "shop")):
        code, out, err = cli(*command)
        assert (code, out) == (ExitCode.CONFIG, ""), command
        assert err.count("\n") == 1
        assert f"{config}:5: is not YAML: while parsing a flow mapping" in err
        assert f"mend the file; no master was found in {project / 'state'}" in err
    (project / "state" / "brama.lock").write_text(f"{os.getpid()}\n")
    assert f"kill -TERM {os.getpid()}\n" in cli("status")[2]


@pytest.mark.parametrize("master_config", ["config/brama.yaml"])
def test_a_running_fleet_is_commanded_though_its_file_is_no_yaml(cli, project, master):
    (project / "config" / "brama.yaml").write_text(BROKEN)
    (project / "l").mkdir()
    (project / "l" / "worker_support.log").write_text("printed\n")
    assert cli("status")[0] == 0
    assert cli("restart", "support") == (0, "support: RUNNING (pid 4800)\n", "")
    assert cli("logs", "support") == (0, "printed\n", "")
    assert cli("stop")[:2] == (0, f"stopped (pid {master.pid})\n")


def test_the_master_of_another_file_is_left_alone_when_this_one_is_no_yaml(cli, project, master):
    (project / "config" / "brama.yaml").write_text(BROKEN)
    code, _, err = cli("stop")
    assert code == ExitCode.CONFIG
    assert "is that of /srv/bots/config/brama.yaml and was left alone" in err
    assert master.poll() is None


def test_folders_of_a_file_that_is_no_yaml_are_those_of_their_lines(tmp_path):
    config = tmp_path / "brama.yaml"
    config.write_text(BROKEN + 'state_dir: "s t"\n')
    found = locate(config, {}, Path("/"))
    assert (found.state_dir, found.logs_dir) == (tmp_path / "s t", tmp_path / "l")


def test_the_shell_completes_commands_and_bots(project):
    def complete(words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", "from brama.console import main; main()"],
            env={
                **os.environ,
                "_BRAMA_SUPERVISOR_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split(" ")) - 1),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout.split()

    assert {"start", "stop", "status"} <= set(complete("brama-supervisor st"))
    assert complete("brama-supervisor restart s") == ["shop", "support"]
    assert complete("brama-supervisor logs ") == ["master", "shop", "support"]
    assert complete("brama-supervisor dead-letters list --bot sh") == ["shop"]

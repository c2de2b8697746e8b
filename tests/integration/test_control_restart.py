"""``restart`` as a command: what it waits for, and what it says when there is nothing to wait for."""

import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from brama.errors import NoMasterError
from brama.exit_codes import ExitCode
from supervisor.control.client import ControlClient
from tests.fixtures.fleet import COMMAND
from tests.integration.test_control_cli import cli as cli
from tests.integration.test_control_cli import master as master
from tests.waiting import wait_until

TOKEN = "1001:AAtesttesttesttesttesttesttesttest"


@pytest.fixture
def master_config() -> str:
    """What the master is to do: see tests.fakes_control."""
    return "plain.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose bots are not waited for longer than a second."""
    for folder in ("config", "state"):
        (tmp_path / folder).mkdir()
    (tmp_path / "shop.py").touch()
    config = tmp_path / "config" / "brama.yaml"
    config.write_text(
        f"bots: [{{id: shop, token: '{TOKEN}', script: {tmp_path}/shop.py}}]\n"
        f"state_dir: {tmp_path}/state\nlimits: {{start_timeout: 1s}}\n"
    )
    config.chmod(0o600)
    monkeypatch.setenv("BRAMA_CONFIG", str(config))
    return tmp_path


def said(err: str, project: Path) -> list[str]:
    """Return the lines of a failure without the words that all of them begin and end with."""
    ending = f" (configuration: {project}/config/brama.yaml)"
    return [line.removeprefix("brama-supervisor: ").removesuffix(ending) for line in err.splitlines()]


def test_it_waits_for_the_next_master_and_its_bots(cli, master: "subprocess.Popen[str]"):
    """Though the connection breaks off in the very moment."""
    for _ in range(2):
        code, out, err = cli("restart")
        assert (code, err) == (0, "")
        assert out.startswith(f"restarted (pid {master.pid}, version 0.1.0) in ")
    assert master.poll() is None


@pytest.mark.parametrize("master_config", ["refused.yaml"])
def test_a_refusal_is_said_in_its_own_words(cli, master, project: Path):
    code, out, err = cli("restart")
    assert (code, out) == (ExitCode.FAILED, "")
    assert said(err, project) == ["/srv/brama-supervisor cannot take over (exit code 1): it has a bug"]


@pytest.mark.parametrize("master_config", ["wrong.yaml"])
def test_a_configuration_that_is_wrong_for_the_next_one_is_told_in_full(cli, master, project: Path):
    code, out, err = cli("restart")
    assert (code, out) == (ExitCode.CONFIG, "")
    wrong = project / "wrong.yaml"
    assert said(err, project) == [
        f"{wrong}:3: bots[0].script: is missing",
        f"{wrong}:9: bots[1].id: is missing",
    ]


@pytest.mark.parametrize("master_config", ["missing.yaml"])
def test_a_master_that_goes_on_after_all_says_why(cli, master, project: Path):
    code, out, err = cli("restart")
    assert (code, out) == (ExitCode.FAILED, "")
    assert said(err, project) == ["it cannot be executed: No such file or directory"]
    assert master.poll() is None


@pytest.mark.parametrize("master_config", ["dying.yaml"])
def test_a_master_that_dies_of_it_is_not_passed_over(cli, master, project: Path):
    """Another one in its place would hide that."""
    code, out, err = cli("restart")
    assert (code, out) == (ExitCode.FAILED, "")
    assert said(err, project) == [f"the master (pid {master.pid}) ended instead; its log says why"]


@pytest.mark.parametrize("master_config", ["busy.yaml"])
def test_bots_that_are_still_busy_are_not_waited_for_for_ever(cli, master, project: Path):
    code, out, err = cli("restart")
    assert code == 0
    assert out.startswith("restarted (pid ")
    assert err == "2 bots still finish what they have begun\n"


@pytest.mark.parametrize("master_config", ["unwarmed.yaml"])
def test_bots_that_cannot_be_renewed_are_not_said_to_be_busy(cli, master, project: Path):
    code, out, err = cli("restart")
    assert (code, out) == (ExitCode.FAILED, "")
    [line] = said(err, project)
    assert line.startswith("the master is replaced (version 0.1.0), but 2 bots serve on with the old code: ")
    assert line.endswith(
        ": the zygote is not warm yet; it is tried again by itself, and status shows when it is done"
    )


def test_cold_is_about_the_whole_fleet(cli, project: Path):
    code, _, err = cli("restart", "--cold", "shop")
    assert code == ExitCode.USAGE
    assert "is about the whole fleet, so it takes no BOT" in err


def test_a_wrong_configuration_is_the_running_masters_to_refuse(cli, master, project: Path):
    """Its status shows it then, and it may know variables that this shell does not."""
    (project / "shop.py").unlink()
    assert cli("restart")[0] == 0
    code, out, err = cli("restart", "--cold")
    assert (code, out) == (ExitCode.CONFIG, "")
    assert "bots[0].script" in err
    assert master.poll() is None


@pytest.mark.parametrize("master_config", ["waiting.yaml"])
def test_a_wait_that_is_interrupted_says_that_the_restart_goes_on(master, project: Path):
    """As Ctrl-C does."""
    waiting = subprocess.Popen(
        [COMMAND, "restart"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    client = ControlClient(project / "state" / "brama.sock")

    def has_begun() -> bool:
        with suppress(NoMasterError):  # in the moment of the change
            return client.status().master.hot_restarts > 0
        return False

    wait_until(has_begun, what="its beginning")
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (130, "")
    assert err == f"the restart of the master (pid {master.pid}) goes on; status shows how it ends\n"
    assert master.poll() is None

"""What ``start --daemon`` says of bots that are slow to start, from the statuses of a made-up master."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from brama.config.settings import Settings
from brama.exit_codes import ExitCode
from supervisor.commands import fleet, waiting
from supervisor.control import client
from supervisor.control.policy.progress import Progress, progress_of
from supervisor.control.status import MasterState, WorkerStatus
from tests.fakes_control import status, worker

UNREACHABLE = "Bot API unreachable: connection refused"


class Statuses:
    """A client whose master gives these statuses one by one, the last for ever."""

    def __init__(self, *rounds: tuple[WorkerStatus, ...]) -> None:
        self.rounds = list(rounds)
        self.asked = 0

    def progress(self) -> Progress:
        self.asked += 1
        workers = self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]
        return progress_of(status(*workers, state=MasterState.STARTING))


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only while the command waits for the next status."""
    now = SimpleNamespace(seconds=1000.0)

    def pause(*_: object) -> None:
        now.seconds += waiting.PAUSE_S

    monkeypatch.setattr(waiting, "monotonic_s", lambda: now.seconds)
    monkeypatch.setattr(waiting, "select", SimpleNamespace(select=pause))
    return now


@pytest.fixture
def start(monkeypatch, clock):
    def report(*rounds: tuple[WorkerStatus, ...]) -> tuple[int, float]:
        """Return the exit code and how many seconds the command waited."""
        master = Statuses(*rounds)
        monkeypatch.setattr(client, "ControlClient", lambda _: master)
        srv = Path("/srv")
        settings = Settings(
            config_path=srv / "brama.yaml", project_root=srv, state_dir=srv / "state", logs_dir=srv / "logs"
        )
        begin = clock.seconds
        return fleet._report_start(settings, 4711), clock.seconds - begin

    return report


def starting(bot_id: str, reason: str | None) -> WorkerStatus:
    return worker(bot_id, state="STARTING", reason=reason, pid=None)


def test_bots_that_are_held_up_are_named_soon(start, capsys):
    code, waited_s = start((starting("shop", UNREACHABLE), worker("support")))
    said = capsys.readouterr()
    assert code == ExitCode.OK
    assert waiting.HELD_PATIENCE_S < waited_s < waiting.HELD_PATIENCE_S + 1
    assert said.out.startswith("started as pid 4711, starting 1/2; see ")
    assert said.err == f"shop: STARTING: {UNREACHABLE}\n"


def test_bots_that_start_without_trouble_get_all_their_time(start, capsys):
    _, waited_s = start((starting("shop", "asking Telegram who this is"), worker("support")))
    assert 60 < waited_s < 61
    assert capsys.readouterr().err == ""


def test_an_outage_that_ends_in_time_is_no_trouble(start, capsys):
    held, asking = (starting("shop", UNREACHABLE),), (starting("shop", None),)
    _, waited_s = start(*[held] * 40, *[asking] * 100, (worker("shop"),))
    assert waited_s == pytest.approx(14.0)
    said = capsys.readouterr()
    assert (said.out.split("; ")[0], said.err) == ("started as pid 4711, 1 of 1 bot running", "")


def test_many_bots_that_are_held_up_are_counted(start, capsys):
    start(tuple(starting(f"bot{number}", UNREACHABLE) for number in range(200)))
    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[-1]) == (21, "and 180 more")

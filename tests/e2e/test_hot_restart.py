"""A master that is replaced in place: the installed command, real bots, nothing lost, nothing twice."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import pytest

from brama.exit_codes import ExitCode
from tests.fixtures.fleet import COMMAND, Fleet, lives, new_fleet
from tests.fixtures.releases import Releases
from tests.fixtures.sandbox import RunningSandbox
from tests.ports import free_port
from tests.waiting import wait_until

SECRET = "a-secret-of-the-operator-0123456789"


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    made = Releases(tmp_path / "releases")
    made.switch("one")
    return made


@pytest.fixture
def fleet(tmp_path: Path, sandbox: RunningSandbox, releases: Releases) -> Iterator[Fleet]:
    """A fleet whose master is a release behind a link."""
    with new_fleet(tmp_path / "project", sandbox) as made:
        made.command_path = str(releases.current)
        yield made


def restart(fleet: Fleet) -> None:
    """Restart hot by command, and see that it was."""
    assert fleet.process is not None
    before = fleet.status().master.hot_restarts
    done = fleet.run("restart")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"restarted (pid {fleet.process.pid}, version ")
    master = fleet.status().master
    assert (master.pid, master.hot_restarts, master.renewing) == (fleet.process.pid, before + 1, 0)
    assert fleet.process.poll() is None


def refusal(fleet: Fleet) -> str:
    """Try to restart hot, and see that nothing changes; returns what was said."""
    before = {worker.bot_id: worker.pid for worker in fleet.status().workers}
    done = fleet.run("restart")
    assert done.returncode != 0
    status = fleet.status()
    assert {worker.bot_id: worker.pid for worker in status.workers} == before
    assert status.master.hot_restarts == 0
    assert status.master.restart_problems
    return done.stderr


def test_the_code_behind_a_link_is_taken_up_by_master_and_bots(fleet: Fleet, releases: Releases):
    shop, support = fleet.add("shop"), fleet.add("support")
    fleet.start_and_wait()
    assert shop.ask("environment RELEASE") == "one"
    before = {bot_id: fleet.pid(bot_id) for bot_id in fleet.bots}
    for name in ("two", "three"):
        releases.switch(name)
        restart(fleet)
        assert {bot.ask("environment RELEASE") for bot in (shop, support)} == {name}
    assert not any(map(lives, before.values()))
    worker = fleet.worker("shop")
    assert (worker.restarts, worker.generation) == (2, 3)
    assert worker.messages == 3, "counters go on"
    assert fleet.stop() == 0


def test_what_runs_is_finished_and_what_waits_comes_once_in_order(fleet: Fleet, tmp_path: Path):
    """Handlers go on through the change of masters; their bots are restarted after them."""
    bot, gate = fleet.add("shop"), tmp_path / "gate"
    fleet.start_and_wait()
    first = fleet.pid("shop")
    bot.send(f"hold {gate}")
    wait_until(lambda: fleet.worker("shop").in_flight == 1, what="the handler to begin")
    restarting = Thread(target=restart, args=(fleet,))
    restarting.start()
    wait_until(lambda: fleet.status().master.hot_restarts == 1, 40.0, what="the next master")
    assert fleet.worker("shop").in_flight == 1
    assert fleet.pid("shop") == first
    bot.send(*map(str, range(20)))
    gate.touch()
    restarting.join(60)
    assert bot.wait_answers(21) == ["held until gate", *map(str, range(20))]
    fleet.wait_handled("shop")
    assert fleet.pid("shop") != first
    assert fleet.stop() == 0
    tally = fleet.tally("shop")
    assert (tally.committed, tally.processed) == (21, 21)


def test_a_handler_that_takes_longer_than_a_stop_may_is_ended_and_named(fleet: Fleet, tmp_path: Path):
    fleet.sections["stop"] = {"timeout": "1s"}
    bot, gate = fleet.add("shop"), tmp_path / "gate"
    fleet.start_and_wait()
    bot.send(f"hold {gate}")
    wait_until(lambda: fleet.worker("shop").in_flight == 1, what="the handler to begin")
    done = fleet.run("restart")
    assert done.returncode == 0
    assert done.stdout.startswith("restarted (pid ")
    assert done.stderr.startswith("shop: what was being done took longer than stop.timeout; ")
    assert fleet.status().master.cut_short == ("shop",)
    gate.touch()
    assert bot.wait_answers(1) == ["held until gate"]
    assert fleet.stop() == 0


def test_a_stream_goes_on_through_restarts_of_every_kind(fleet: Fleet):
    """Also two signals at once, and one that comes while another master is just beginning."""
    bots = [fleet.add(f"bot{number}") for number in range(4)]
    fleet.start_and_wait()
    assert fleet.process is not None
    sent, stop = Counter[str](), Event()

    def stream() -> None:
        while not stop.wait(0.005):
            for bot in bots:
                bot.send(str(sent[bot.id]))
                sent[bot.id] += 1

    streaming = Thread(target=stream)
    streaming.start()
    try:
        for signals in (1, 2, 1):
            before = fleet.status().master.hot_restarts
            for _ in range(signals):
                os.kill(fleet.process.pid, signal.SIGUSR2)
            wait_until(lambda: fleet.status().master.hot_restarts > before, 40.0, what="the next master")  # noqa: B023
        wait_until(lambda: fleet.status().master.renewing == 0, 40.0, what="renewed bots")
    finally:
        stop.set()
        streaming.join()
    for bot in bots:
        assert bot.wait_answers(sent[bot.id]) == [str(number) for number in range(sent[bot.id])]
    assert fleet.stop() == 0
    for bot in bots:
        tally = fleet.tally(bot.id)
        assert (tally.processed, tally.waiting) == (sent[bot.id], 0)


def test_webhooks_go_on_through_restarts(fleet: Fleet):
    """No delivery fails: who comes meanwhile waits in the listener's queue."""
    port = free_port()
    fleet.sections.update(
        mode="webhook",
        webhook={"host": f"http://127.0.0.1:{port}", "port": port, "secret": SECRET},
    )
    bot = fleet.add("shop")
    fleet.start_and_wait()
    sent, stop = Counter[str](), Event()

    def stream() -> None:
        while not stop.wait(0.005):
            bot.send(str(sent[bot.id]))
            sent[bot.id] += 1

    streaming = Thread(target=stream)
    streaming.start()
    try:
        restart(fleet)
        restart(fleet)
    finally:
        stop.set()
        streaming.join()
    assert bot.wait_answers(sent[bot.id]) == [str(number) for number in range(sent[bot.id])]
    webhook = fleet.sandbox.control.state(bot.telegram_id).webhook
    assert webhook is not None
    assert webhook.failed == 0
    assert fleet.stop() == 0
    tally = fleet.tally("shop")
    assert (tally.processed, tally.waiting) == (sent[bot.id], 0)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("sys.exit('it has a bug')", "it has a bug"),
        ("os.kill(os.getpid(), 9)", "signal 9"),
        ("print('hello'); sys.exit()", "is no brama-supervisor"),
        ("this is no Python", "SyntaxError"),
    ],
)
def test_code_that_does_not_start_changes_nothing(fleet: Fleet, releases: Releases, before: str, words: str):
    bot = fleet.add("shop")
    fleet.start_and_wait()
    releases.switch("broken", before)
    fleet.command_path = COMMAND  # what is typed is of another installation
    assert words in refusal(fleet)
    assert bot.ask("hello") == "hello"
    releases.switch("mended")
    restart(fleet)
    assert bot.ask("environment RELEASE") == "mended"
    assert fleet.status().master.restart_problems == ()


def test_code_that_goes_missing_at_the_last_moment_leaves_the_old_one_running(
    fleet: Fleet, releases: Releases, tmp_path: Path
):
    """It proved itself and cannot be executed: the master goes on with what it had let go of."""
    bot, gate = fleet.add("shop"), tmp_path / "gate"
    fleet.start_and_wait()
    bot.send(f"hold {gate}")
    wait_until(lambda: fleet.worker("shop").in_flight == 1, what="the handler to begin")
    releases.switch("fleeting", "if sys.argv[1] == 'prove': os.unlink(sys.argv[0])")
    fleet.command_path = COMMAND
    done = fleet.run("restart")
    assert done.returncode == ExitCode.FAILED
    assert "cannot be executed" in done.stderr
    bot.send("1", "2")
    gate.touch()
    assert bot.wait_answers(3) == ["held until gate", "1", "2"]
    assert fleet.status().master.hot_restarts == 0
    releases.switch("mended")
    restart(fleet)
    assert bot.ask("environment RELEASE") == "mended"
    assert fleet.stop() == 0
    assert fleet.tally("shop").processed == 4


def test_a_link_that_is_switched_after_the_trial_changes_nothing_of_it(fleet: Fleet, releases: Releases):
    """What has proven itself is executed, and the next restart goes where the link leads by then."""
    bot = fleet.add("shop")
    fleet.start_and_wait()
    switch = (
        f"os.unlink({str(releases.current.parent)!r}); os.symlink('broken', {str(releases.current.parent)!r})"
    )
    releases.switch("broken", "sys.exit('it has a bug')")
    releases.switch("proven", f"if sys.argv[1] == 'prove': {switch}")
    fleet.command_path = COMMAND
    restart(fleet)
    assert bot.ask("environment RELEASE") == "proven"
    before = fleet.status().master
    assert "it has a bug" in fleet.run("restart").stderr
    assert fleet.status().master.hot_restarts == before.hot_restarts
    releases.switch("mended")
    restart(fleet)
    assert bot.ask("environment RELEASE") == "mended"


def test_a_wrong_configuration_is_told_in_full(fleet: Fleet):
    fleet.add("shop")
    fleet.start_and_wait()
    fleet.entries["shop"]["cwd"] = "/nowhere"
    fleet.sections["limits"] = {"max_workers": "many"}
    fleet.configure()
    assert fleet.run("restart").returncode == ExitCode.CONFIG
    problems = fleet.status().master.restart_problems
    assert [any(key in line for line in problems) for key in ("bots[0].cwd", "limits.max_workers")] == [
        True
    ] * 2
    assert "the last hot restart did not happen: " in fleet.run("status").stdout
    del fleet.entries["shop"]["cwd"], fleet.sections["limits"]
    fleet.configure()
    restart(fleet)
    assert fleet.status().master.restart_problems == ()


def test_another_state_folder_or_bot_api_needs_a_stop(fleet: Fleet, tmp_path: Path):
    fleet.add("shop")
    fleet.start_and_wait()
    fleet.sections["telegram"] = {"base_url": "http://127.0.0.1:9"}
    fleet.configure()
    assert "telegram.base_url: " in refusal(fleet)


def test_bots_that_come_and_go_with_the_restart(fleet: Fleet):
    for name in ("shop", "news", "paused"):
        fleet.add(name)
    fleet.start_and_wait()
    gone = fleet.pid("news")
    del fleet.entries["news"]
    fleet.entries["paused"]["enabled"] = False
    fleet.add("orders")
    fleet.configure()
    restart(fleet)
    fleet.wait_state("RUNNING", "shop", "orders")
    fleet.wait_state("STOPPED", "paused")
    assert not lives(gone)
    assert {worker.bot_id for worker in fleet.status().workers} == {"shop", "orders", "paused"}
    assert fleet.bots["orders"].ask("hello") == "hello"


def test_bots_that_speak_otherwise_are_drained_first(fleet: Fleet, releases: Releases, tmp_path: Path):
    """Their intake goes on meanwhile."""
    bot, gate = fleet.add("shop"), tmp_path / "gate"
    fleet.start_and_wait()
    bot.send(f"hold {gate}")
    wait_until(lambda: fleet.worker("shop").in_flight == 1, what="the handler to begin")
    releases.switch("foreign", "import brama.messages; brama.messages.PROTOCOL_VERSION = 1_000")
    assert fleet.client.restart().retiring == ("shop",)
    fleet.wait_state("STOPPING", "shop")
    bot.send("1")
    wait_until(lambda: fleet.worker("shop").inbox == 2, what="the intake")
    gate.touch()
    wait_until(lambda: fleet.status().master.hot_restarts == 1, 40.0, what="the next master")
    assert bot.wait_answers(1) == ["held until gate"]
    assert fleet.stop() == 0
    assert fleet.tally("shop").processed == 1


#: Stops the first zygote of the next master before it has done anything.
_STOPPING_ITS_ZYGOTE = """
if "BRAMA_HANDOVER" in os.environ:
    import signal
    from supervisor.fleet import zygote_client

    def start_stopped(*arguments, start=zygote_client.start_zygote):
        zygote_client.start_zygote = start
        started = start(*arguments)
        started.popen.send_signal(signal.SIGSTOP)
        return started

    zygote_client.start_zygote = start_stopped
    zygote_client.WARM_LIMIT_S = {limit_s}
"""


def test_bots_serve_on_until_a_zygote_can_be_used(fleet: Fleet, releases: Releases):
    """The trial's zygote was of use, the next master's first ones are not."""
    obstacle = fleet.folder / "obstacle"
    (fleet.folder / "mood.py").write_text(
        f"import os\nif os.path.exists({str(obstacle)!r}): raise RuntimeError('not today')\n"
    )
    fleet.sections["zygote"] = {"preload": ["mood"]}
    shop, support = fleet.add("shop"), fleet.add("support")
    fleet.start_and_wait()
    before = {bot_id: fleet.pid(bot_id) for bot_id in fleet.bots}
    releases.switch("two", f"if 'BRAMA_HANDOVER' in os.environ: open({str(obstacle)!r}, 'w').close()")
    done = fleet.run("restart")
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert '2 bots serve on with the old code: zygote.preload: "mood" does not import' in done.stderr
    assert "it is tried again by itself" in done.stderr
    assert {bot_id: fleet.pid(bot_id) for bot_id in fleet.bots} == before
    assert shop.ask("environment RELEASE") == "one"
    master = fleet.status().master
    assert (master.hot_restarts, master.renewing) == (1, 2)
    assert any("not today" in problem for problem in master.restart_problems)
    assert "the last hot restart is not through: " in fleet.run("status").stdout
    obstacle.unlink()
    wait_until(lambda: fleet.status().master.renewing == 0, 60.0, what="renewed bots")
    assert {bot.ask("environment RELEASE") for bot in (shop, support)} == {"two"}
    assert fleet.status().master.restart_problems == ()
    assert fleet.stop() == 0


def test_a_zygote_that_hangs_after_the_exec_is_replaced_and_bots_are_renewed(
    fleet: Fleet, releases: Releases
):
    bot = fleet.add("shop")
    fleet.start_and_wait()
    releases.switch("two", _STOPPING_ITS_ZYGOTE.format(limit_s=10))
    done = fleet.run("restart")
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert "1 bot serves on with the old code: the zygote was not warm within 10 s" in done.stderr
    wait_until(lambda: fleet.status().master.renewing == 0, 60.0, what="a renewed bot")
    assert bot.ask("environment RELEASE") == "two"
    assert fleet.status().master.restart_problems == ()


def test_a_stop_that_comes_while_the_next_zygote_hangs_is_obeyed(fleet: Fleet, releases: Releases):
    bot = fleet.add("shop")
    fleet.start_and_wait()
    releases.switch("two", _STOPPING_ITS_ZYGOTE.format(limit_s=600))
    assert fleet.process is not None
    os.kill(fleet.process.pid, signal.SIGUSR2)
    wait_until(lambda: fleet.status().master.hot_restarts == 1, 40.0, what="the next master")
    assert bot.ask("environment RELEASE") == "one"
    assert fleet.stop() == 0
    assert fleet.tally("shop").processed == 1


def test_a_stop_that_comes_during_the_trial_wins(fleet: Fleet, releases: Releases, tmp_path: Path):
    fleet.add("shop")
    fleet.start_and_wait()
    waiting = tmp_path / "waiting"
    before = f"import pathlib, signal; pathlib.Path({str(waiting)!r}).touch(); signal.pause()"
    releases.switch("slow", f"if sys.argv[1] == 'prove':\n    {before}")
    assert fleet.process is not None
    os.kill(fleet.process.pid, signal.SIGUSR2)
    wait_until(waiting.exists, what="the trial")
    assert fleet.stop() == 0
    assert fleet.children() == []


def test_a_command_that_waits_for_the_trial_says_that_the_master_was_stopped(
    fleet: Fleet, releases: Releases, tmp_path: Path
):
    """And starts no other in its place."""
    fleet.add("shop")
    fleet.start_and_wait()
    waiting = tmp_path / "waiting"
    before = f"import pathlib, signal; pathlib.Path({str(waiting)!r}).touch(); signal.pause()"
    releases.switch("slow", f"if sys.argv[1] == 'prove':\n    {before}")
    assert fleet.process is not None
    with ThreadPoolExecutor() as threads:
        restarting = threads.submit(fleet.run, "restart")
        wait_until(waiting.exists, what="the trial")
        assert fleet.run("stop").returncode == ExitCode.OK
        done = restarting.result()
    assert fleet.wait_ended() == 0
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert f"the master (pid {fleet.process.pid}) ended instead; its log says why" in done.stderr
    assert fleet.run("status").returncode == ExitCode.NO_MASTER


def test_a_master_that_a_restart_has_started_is_listed_as_one_that_was_started(fleet: Fleet):
    """Nobody who looks for it by name is to take it for a command that hangs."""
    fleet.add("shop")
    fleet.configure()
    done = fleet.run("restart")
    assert done.returncode == 0, done.stderr
    assert "no master ran for " in done.stderr
    try:
        title = Path(f"/proc/{fleet.status().master.pid}/cmdline").read_bytes().split(b"\0")
        assert title[-4:-1] == [b"--daemon", b"--config", bytes(fleet.config)]
        assert b"start" in title
        assert b"restart" not in title
    finally:
        assert fleet.run("stop").returncode == 0


def test_a_bot_that_was_given_up_gets_another_chance(fleet: Fleet, tmp_path: Path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('a bug')\n")
    fleet.add("shop", script=broken)
    fleet.start()
    fleet.wait_state("FATAL")
    broken.write_text((Path(__file__).parents[1] / "bots_e2e" / "obedient.py").read_text())
    restart(fleet)
    fleet.wait_state("RUNNING")
    assert fleet.bots["shop"].ask("hello") == "hello"


def test_a_stopped_bot_stays_stopped_and_a_death_is_still_charged(fleet: Fleet):
    fleet.add("shop")
    support = fleet.add("support")
    fleet.start_and_wait()
    fleet.command("stop", "shop")
    fleet.wait_state("STOPPED", "shop")
    restart(fleet)
    assert fleet.worker("shop").state == "STOPPED"
    support.send("exit 3")
    [letter] = fleet.letters("support", 1)
    assert letter.letter.reason == "poison"
    assert support.ask("hello") == "hello"

"""Processes hang, leak, leave, have children, are killed: the fleet copes, and nothing stays behind."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.fixtures.fleet import SCRIPTS, Fleet, lives, new_fleet
from tests.fixtures.sandbox import running_sandbox
from tests.waiting import wait_until

MB = 1024**2


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Fleet]:
    """Bots that beat often; some are found hung after a second, some may use little memory."""
    with (
        running_sandbox() as sandbox,
        new_fleet(tmp_path_factory.mktemp("fleet"), sandbox, heartbeat={"interval": "200ms"}) as fleet,
    ):
        for name in ("stopped", "locked"):
            fleet.add(name, limits={"worker_timeout": "1s"})
        for name in ("leaky", "greedy"):
            fleet.add(name, limits={"memory": "40MB"})
        for name in ("parent", "bystander"):
            fleet.add(name)
        fleet.start_and_wait()
        yield fleet


def children_of(fleet: Fleet, bot_id: str) -> list[int]:
    """Have a bot make children of every kind; returns their pids."""
    pids = [int(pid) for pid in fleet.bots[bot_id].ask("children").split()]
    assert len(pids) == 5
    assert all(lives(pid) for pid in pids)
    return pids


def test_a_stopped_process_is_found_hung_and_its_updates_are_answered_by_the_next(running):
    bot = running.bots["stopped"]
    pid = running.pid("stopped")
    os.kill(pid, signal.SIGSTOP)
    bot.send("first", "second")
    assert bot.wait_answers(2) == ["first", "second"]
    worker = running.worker("stopped")
    assert worker.pid != pid
    assert not lives(pid)
    [hung] = [event for event in running.events("worker.hung") if event["bot"] == "stopped"]
    assert "1 s" in hung["reason"]


def test_a_handler_that_holds_the_interpreter_leaves_its_stack_and_becomes_a_dead_letter(running):
    bot = running.bots["locked"]
    bot.send("lock", "next")
    [letter] = running.letters("locked", count=1)
    assert letter.letter.reason == "poison"
    bot.wait_answers(1)
    assert bot.answers() == ["next"]
    assert "in lock_the_interpreter" in running.log("locked")


def test_a_slow_leak_is_drained_and_started_anew(running):
    bot = running.bots["leaky"]
    pid = running.pid("leaky")
    bot.send("leak-slowly 60", "next")
    assert bot.wait_answers(2) == ["60 MB more", "next"]
    running.wait_replaced("leaky", pid)
    [recycled] = [event for event in running.events("worker.exited") if event["pid"] == pid]
    assert recycled["code"] == 0, "it left by itself, its updates done"
    assert "more than 40 MB (limits.memory_per_worker)" in recycled["reason"]
    wait_until(lambda: 0 < running.worker("leaky").memory_bytes < 40 * MB, what="a small process again")
    assert bot.answers().count("60 MB more") == 1


def test_a_fast_leak_hits_the_hard_limit_and_nobody_else(running):
    bot = running.bots["greedy"]
    pid = running.pid("greedy")
    bot.send("leak-fast 2000")
    [letter] = running.letters("greedy", count=1)
    assert letter.letter.error == "MemoryError"
    assert bot.ask("next") == "next"
    assert running.pid("greedy") == pid


def test_children_of_every_kind_end_with_a_killed_worker(running):
    others = children_of(running, "bystander")
    children, pid = children_of(running, "parent"), running.pid("parent")
    os.kill(pid, signal.SIGKILL)
    running.wait_replaced("parent", pid)
    assert [child for child in children if lives(child)] == []
    assert all(lives(other) for other in others)
    running.command("stop", "bystander")
    running.wait_state("STOPPED", "bystander")
    assert [other for other in others if lives(other)] == []
    running.command("start", "bystander")
    running.wait_state("RUNNING", "bystander")


def test_a_killed_zygote_is_replaced_and_no_bot_notices(running):
    before = {worker.bot_id: worker.pid for worker in running.status().workers}
    zygote = running.zygote_pid()
    assert zygote is not None
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: running.zygote_pid() not in (None, zygote), 40, what="another zygote")
    for bot in running.bots.values():
        assert bot.ask("still there") == "still there"
    assert {worker.bot_id: worker.pid for worker in running.status().workers} == before
    running.command("restart", "bystander")
    running.wait_replaced("bystander", before["bystander"] or 0)
    assert running.bots["bystander"].ask("new") == "new"


def test_a_killed_master_takes_everything_along_and_the_next_start_is_clean(running, tmp_path):
    """The last one of this fleet. A busy bot cannot notice; one that was stopped before stays so."""
    assert running.bots["leaky"].ask(f"block-until {tmp_path / 'gate'}") == "blocking"
    children = children_of(running, "parent")
    running.command("stop", "bystander")
    running.wait_state("STOPPED", "bystander")
    pids = [worker.pid for worker in running.status().workers if worker.pid]
    zygote = running.zygote_pid()
    assert zygote is not None
    running.kill_master()
    wait_until(lambda: not any(lives(pid) for pid in (*pids, zygote)), 5.0, what="the end of all workers")
    (tmp_path / "gate").touch()
    running.bots["bystander"].send("too early")
    running.start_and_wait(*(name for name in running.bots if name != "bystander"))
    assert [child for child in children if lives(child)] == []
    worker = running.worker("bystander")
    assert (worker.state, worker.wanted, worker.ingress) == ("STOPPED", "STOPPED", "off")
    assert running.bots["parent"].ask("hello") == "hello"
    everything = running.children()
    assert running.stop() == 0
    assert [pid for pid in everything if lives(pid)] == []


LEAVING = {
    "0": ("FATAL", "ended by itself (exit code 0); 2 deaths within 3600 s, restart.budget is 1"),
    "1": ("FATAL", "exit code 1; 2 deaths within 3600 s, restart.budget is 1"),
    "75": (None, "exit code 75"),
    "78": ("FATAL", "exit code 78: it cannot run as it is configured"),
    "segfault": ("FATAL", "killed by SIGSEGV"),
}


@pytest.fixture(scope="module")
def leaving(tmp_path_factory) -> Iterator[Fleet]:
    """Bots that cannot stay, under a short patience."""
    with (
        running_sandbox() as sandbox,
        new_fleet(
            tmp_path_factory.mktemp("fleet"),
            sandbox,
            restart={"budget": 1, "cooldown": "0s"},
            limits={"min_free_memory": "0%", "start_timeout": "3s"},
            stop={"timeout": "1s"},
        ) as fleet,
    ):
        for how in LEAVING:
            fleet.add(f"leaving-{how}", SCRIPTS / "leaving.py", args=[how])
        fleet.add("locked", SCRIPTS / "locked_boot.py")
        fleet.add("stubborn")
        fleet.add("unlucky")
        fleet.start_and_wait("stubborn", "unlucky")
        yield fleet


@pytest.mark.parametrize("how", LEAVING)
def test_how_a_bot_leaves_decides_whether_it_comes_back(leaving, how):
    state, reason = LEAVING[how]
    bot_id = f"leaving-{how}"
    if state is None:
        wait_until(lambda: leaving.worker(bot_id).restarts > 2, what="more attempts than the budget")
        assert leaving.worker(bot_id).state != "FATAL"
        return
    leaving.wait_state(state, bot_id)
    worker = leaving.worker(bot_id)
    assert worker.reason is not None
    assert worker.reason.startswith(reason)
    assert (worker.pid, worker.wanted) == (None, "RUNNING")


def test_a_boot_that_holds_the_interpreter_is_given_up_with_its_stack(leaving):
    leaving.wait_state("FATAL", "locked")
    assert leaving.worker("locked").reason == "no Application polling within 3 s (limits.start_timeout)"
    assert "locked_boot.py" in leaving.log("locked")


def test_a_bot_that_ignores_the_end_is_killed_when_its_time_is_over(leaving):
    assert leaving.bots["stubborn"].ask("ignore-the-end") == "let them come"
    pid = leaving.pid("stubborn")
    leaving.command("stop", "stubborn")
    leaving.wait_state("STOPPED", "stubborn")
    assert not lives(pid)


def test_a_bot_that_was_given_up_comes_back_on_command(leaving):
    bot = leaving.bots["unlucky"]
    os.kill(leaving.pid("unlucky"), signal.SIGKILL)
    wait_until(lambda: leaving.worker("unlucky").restarts == 1, what="the death that is forgiven")
    leaving.wait_state("RUNNING", "unlucky")
    os.kill(leaving.pid("unlucky"), signal.SIGKILL)
    leaving.wait_state("FATAL", "unlucky")
    reason = leaving.worker("unlucky").reason
    assert reason == "killed by SIGKILL; 2 deaths within 3600 s, restart.budget is 1"
    bot.send("is anybody there?")
    wait_until(lambda: leaving.worker("unlucky").inbox == 1, what="its updates to be kept")
    leaving.command("start", "unlucky")
    assert bot.wait_answers(1) == ["is anybody there?"]
    assert leaving.worker("unlucky").reason is None

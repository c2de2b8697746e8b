"""No update is lost, none comes twice without need, and each chat keeps its order: with real signals.

A bot is in the middle of a backlog, at an update that a test chose, when something is killed. An update that
"holds" is begun and not acknowledged until its file appears, so nothing here depends on speed.
"""

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from tests.fixtures.fleet import SCRIPTS, Bot, Fleet, lives, shared_fleet
from tests.waiting import wait_until

CHATS = (7, 8, 9)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Fleet]:
    """A fleet for tests that kill workers only; each has a bot of its own."""
    with shared_fleet(tmp_path_factory, "killed", "unlucky", "repeated", "unheard", "waiting") as fleet:
        yield fleet


def backlog(bot: Bot, *middle: str) -> list[str]:
    """Send ten messages to each of three chats, ``middle`` in the midst; returns what was sent."""
    early = [f"early {number}" for number in range(5)]
    late = [f"late {number}" for number in range(5)]
    for text in early:
        for chat in CHATS:
            bot.send(text, chat=chat)
    bot.send(*middle)
    for text in late:
        for chat in CHATS:
            bot.send(text, chat=chat)
    return [*early, *late]


def wait_in_the_middle(fleet: Fleet, bot: Bot) -> None:
    """Wait until all before the middle is acknowledged and committed, and all after it waits in the inbox."""
    after = len(CHATS) * 5 + 1
    wait_until(lambda: fleet.worker(bot.id).inbox == after and bot.is_confirmed(), 40, what="the middle")


def assert_each_once_and_in_order(bot: Bot, sent: list[str]) -> None:
    for chat in CHATS:
        assert [text for text in bot.answers(chat) if text in sent] == sent


def test_a_worker_killed_in_mid_backlog_costs_nothing_but_the_update_it_was_at(running, tmp_path):
    bot, gate = running.bots["killed"], tmp_path / "gate"
    sent = backlog(bot, f"answer-then-hold {gate}")
    wait_in_the_middle(running, bot)
    pid = running.pid("killed")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: bot.answers().count("answered before gate") == 2, what="the update to run again")
    gate.touch()
    running.wait_handled("killed")
    assert_each_once_and_in_order(bot, sent)
    assert bot.answers().count("answered before gate") == 2
    worker = running.worker("killed")
    assert (worker.generation, worker.restarts) == (2, 1)


def test_what_a_worker_acknowledged_to_a_busy_master_before_it_died_counts(running, tmp_path):
    """The master is held still, so all acknowledgements are unread in the pipe when the worker dies."""
    bot, gates = running.bots["unheard"], [tmp_path / "first", tmp_path / "last"]
    texts = [f"text {number}" for number in range(20)]
    bot.send(f"hold {gates[0]}", *texts, f"answer-then-hold {gates[1]}")
    wait_until(lambda: running.worker("unheard").in_flight == 22, what="all to be in the worker's hands")
    pid = running.pid("unheard")
    assert running.process is not None
    running.process.send_signal(signal.SIGSTOP)
    try:
        gates[0].touch()
        bot.wait_answers(22)
        os.kill(pid, signal.SIGKILL)
    finally:
        running.process.send_signal(signal.SIGCONT)
    gates[1].touch()
    running.wait_handled("unheard")
    assert bot.answers() == ["held until first", *texts, *["answered before last"] * 2]


def test_a_duplicate_in_the_stream_is_dropped_and_button_presses_are_not(running):
    bot = running.bots["repeated"]
    assert bot.ask("button choose") == "choose"
    [shown] = bot.sandbox.control.sent(bot.telegram_id, method="sendMessage")
    assert shown.message_id is not None
    for _ in range(2):
        bot.sandbox.control.press_button(bot.telegram_id, 7, shown.message_id, "ok")
    message = {
        "message_id": 900,
        "date": 1_700_000_000,
        "chat": {"id": 7, "type": "private", "first_name": "P"},
        "from": {"id": 7, "is_bot": False, "first_name": "P"},
        "text": "once only",
    }
    bot.inject({"message": message}, {"message": message})
    bot.inject({"message": message})
    bot.inject({"edited_message": {**message, "edit_date": 1_700_000_001, "text": "once more"}})
    bot.send("the end")
    running.wait_handled("repeated")
    answers = bot.answers()
    assert answers.count("pressed ok") == 2
    assert answers.count("once only") == 1
    assert answers.count("once more") == 1
    assert answers[-1] == "the end"
    assert running.status().totals.duplicates == 2


def test_what_is_in_flight_is_shown_until_it_is_through(running, tmp_path):
    bot, gate = running.bots["waiting"], tmp_path / "gate"
    bot.send(f"hold {gate}", "behind")
    wait_until(lambda: running.worker("waiting").in_flight == 2, what="both to be in flight")
    assert bot.answers() == []
    gate.touch()
    assert bot.wait_answers(2) == ["held until gate", "behind"]
    running.wait_handled("waiting")


def test_workers_killed_again_and_again_end_in_the_same_order(running, tmp_path):
    bot = running.bots["unlucky"]
    gates = [tmp_path / f"gate{number}" for number in range(4)]
    bot.send(*[text for gate in gates for text in (f"before {gate.name}", f"hold {gate}")], "the end")
    for number, gate in enumerate(gates):
        wait_until(partial(running.has_processed, "unlucky", 2 * number + 1), what="the next gate")
        pid = running.pid("unlucky")
        os.kill(pid, signal.SIGKILL)
        running.wait_replaced("unlucky", pid)
        gate.touch()
    running.wait_handled("unlucky")
    expected = [text for gate in gates for text in (f"before {gate.name}", f"held until {gate.name}")]
    assert bot.answers() == [*expected, "the end"]


def test_state_is_never_behind_what_was_acknowledged(fleet, tmp_path):
    """A bot's own count goes on where it was, over SIGKILLs of the bot and of the master."""
    bot = fleet.add("counting", SCRIPTS / "counting.py")
    fleet.start_and_wait()
    bot.send(*["one"] * 10, f"hold {tmp_path / 'gate'}")
    bot.wait_answers(11)
    wait_until(lambda: fleet.worker("counting").inbox == 1, what="ten acknowledgements")
    pid = fleet.pid("counting")
    os.kill(pid, signal.SIGKILL)
    bot.wait_answers(12)
    (tmp_path / "gate").touch()
    fleet.wait_handled("counting")
    answers = [int(text) for text in bot.answers()]
    assert answers[:11] == list(range(1, 12))
    assert answers[11] in (11, 12), "the update that was at work comes again, with its own state or without"
    fleet.kill_master()
    fleet.start_and_wait()
    assert bot.ask("one") == str(answers[-1] + 1)


def test_a_backlog_larger_than_memory_comes_in_order_while_more_arrives(fleet, tmp_path):
    """Beyond its bound the backlog waits at Telegram; beyond memory, in the inbox."""
    fleet.sections["delivery"] = {"max_backlog": 600, "durability": "normal"}
    bot, gate = fleet.add("shop"), tmp_path / "gate"
    fleet.start_and_wait()
    texts = [f"text {number}" for number in range(1200)]
    bot.send(f"hold {gate}", *texts[:900])
    wait_until(lambda: fleet.worker("shop").ingress == "full", what="the bound")
    assert 600 <= fleet.worker("shop").inbox <= 700
    assert not bot.is_confirmed()
    gate.touch()
    bot.wait_answers(200)
    pid = fleet.pid("shop")
    bot.send(*texts[900:])
    os.kill(pid, signal.SIGKILL)
    fleet.wait_handled("shop", timeout_s=90)
    first_answers = list(dict.fromkeys(bot.answers()))
    assert first_answers == ["held until gate", *texts]
    assert len(bot.answers()) <= len(first_answers) + 1, "one update was at work at the kill"
    assert fleet.worker("shop").ingress == "ok"


def test_a_second_signal_ends_everything_now_and_keeps_what_was_begun(fleet, tmp_path):
    bot, gate = fleet.add("shop"), tmp_path / "gate"
    fleet.start_and_wait()
    bot.send(f"hold {gate}", "behind")
    wait_until(lambda: fleet.worker("shop").in_flight == 2, what="an update that takes for ever")
    everything = fleet.children()
    assert fleet.process is not None
    fleet.process.terminate()
    wait_until(lambda: fleet.status().master.state == "stopping", what="the stop to begin")
    fleet.process.terminate()
    assert fleet.wait_ended() == 0
    assert [pid for pid in everything if lives(pid)] == []
    gate.touch()
    fleet.start_and_wait()
    assert bot.wait_answers(2) == ["held until gate", "behind"]


def test_a_killed_master_loses_nothing_and_takes_nothing_twice(fleet, tmp_path):
    """It is killed before it could confirm anything, so Telegram serves all of it again to the next."""
    bot, gate = fleet.add("shop"), tmp_path / "gate"
    fleet.start_and_wait()
    control = bot.sandbox.control
    wait_until(lambda: control.state(bot.telegram_id).open_polls == 1, what="the poll that takes the backlog")
    control.add_fault("hang", bot.telegram_id, "getUpdates", count=-1)
    texts = [f"text {number}" for number in range(20)]
    sent = bot.send(*texts[:10], f"hold {gate}", *texts[10:])
    wait_until(lambda: fleet.worker("shop").inbox == 11, what="the middle of the backlog")
    assert control.state(bot.telegram_id).pending == len(sent), "nothing is confirmed"
    fleet.kill_master()
    control.clear_faults()
    bot.send("while nobody was there")
    fleet.start_and_wait()
    gate.touch()
    fleet.wait_handled("shop")
    assert bot.answers() == [*texts[:10], "held until gate", *texts[10:], "while nobody was there"]
    assert all(each.served == 2 for each in control.updates(bot.telegram_id)[: len(sent)])
    assert fleet.stop() == 0
    tally = fleet.tally("shop")
    assert (tally.committed, tally.processed, tally.repeated) == (len(sent) + 1, len(sent) + 1, len(sent))
    assert (tally.waiting, tally.dead_letters, tally.dropped) == (0, 0, 0)


def test_a_graceful_stop_finishes_what_has_begun_and_keeps_the_rest(fleet, tmp_path):
    bot, gate = fleet.add("shop"), tmp_path / "gate"
    fleet.start_and_wait()
    sent = backlog(bot, f"hold {gate}")
    wait_in_the_middle(fleet, bot)
    assert fleet.process is not None
    fleet.process.terminate()
    wait_until(lambda: fleet.status().master.state == "stopping", what="the stop to begin")
    assert fleet.client.status().workers[0].ingress == "off"
    bot.send("too late for this master")
    gate.touch()
    assert fleet.wait_ended() == 0
    assert bot.answers().count("held until gate") == 1, "what had begun was finished"
    assert len(bot.answers()) == len(CHATS) * 5 + 1, "nothing else was begun"
    tally = fleet.tally("shop")
    assert (tally.committed, tally.processed, tally.waiting) == (31, 16, 15)
    fleet.start_and_wait()
    fleet.wait_handled("shop")
    assert_each_once_and_in_order(bot, sent)
    assert bot.answers(7)[-1] == "too late for this master"

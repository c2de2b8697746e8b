"""Bots that sleep while nobody writes to them: the installed command, real bots, the sandbox."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from brama.exit_codes import ExitCode
from tests.fixtures.fleet import SCRIPTS, Bot, Fleet, lives, new_fleet
from tests.fixtures.sandbox import running_sandbox
from tests.ports import free_port
from tests.waiting import wait_until

NAPPING = SCRIPTS / "napping.py"
SECRET = "a-secret-of-the-operator-0123456789"


def add(fleet: Fleet, bot_id: str, **keys: object) -> Bot:
    """Configure a bot that sleeps after a second."""
    return fleet.add(bot_id, NAPPING, **{"idle_timeout": "1s", **keys})


@pytest.fixture
def delivered(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet whose bots are delivered to."""
    port = free_port()
    webhook = {"host": f"http://127.0.0.1:{port}", "port": port, "secret": SECRET}
    with (
        running_sandbox() as sandbox,
        new_fleet(tmp_path / "project", sandbox, mode="webhook", webhook=webhook) as fleet,
    ):
        sandbox.control.set_limits(webhook_pause_scale=0.02)
        yield fleet


def wait_asleep(fleet: Fleet, *bot_ids: str) -> None:
    """Wait until these bots, or all, sleep, and hold no process."""
    fleet.wait_state("SLEEPING", *bot_ids)
    for bot_id in bot_ids or fleet.bots:
        assert fleet.worker(bot_id).pid is None


def test_an_idle_bot_sleeps_and_its_next_update_wakes_it(fleet: Fleet):
    shop = add(fleet, "shop")
    fleet.start_and_wait()
    first = int(shop.ask("pid"))
    wait_asleep(fleet)
    assert not lives(first)
    assert fleet.run("status").returncode == ExitCode.OK
    second = int(shop.ask("pid"))
    assert second != first
    wait_asleep(fleet)
    worker = fleet.worker("shop")
    assert (worker.reason, worker.wakes, worker.restarts) == ("its next update wakes it", 1, 0)
    assert (worker.idle_timeout_ms, worker.ingress, worker.messages) == (1000, "ok", 2)
    assert fleet.stop() == 0
    assert fleet.tally("shop").processed == 2


def test_a_delivery_wakes_it_and_its_webhook_stays_registered(delivered: Fleet):
    fleet = delivered
    shop = add(fleet, "shop")
    fleet.start_and_wait()
    assert shop.ask("hello") == "hello"
    wait_asleep(fleet)
    assert shop.ask("good morning") == "good morning"
    wait_asleep(fleet)

    def registrations() -> int:
        return fleet.sandbox.control.state(shop.telegram_id).calls.get("setWebhook", 0)

    before = registrations()
    assert fleet.stop() == 0
    fleet.start()
    wait_asleep(fleet)
    assert shop.ask("hello again") == "hello again"
    assert registrations() == before == 1


def test_updates_that_meet_it_falling_asleep_are_neither_lost_nor_processed_twice(fleet: Fleet):
    bots = [add(fleet, f"bot{number}") for number in range(4)]
    sent: dict[str, list[str]] = {bot.id: [] for bot in bots}
    fleet.start_and_wait()

    def write(bot: Bot, text: str) -> None:
        bot.send(text)
        sent[bot.id].append(text)

    def write_to_who_falls_asleep(awake: dict[str, Bot], text: str) -> bool:
        for worker in fleet.status().workers:
            if worker.bot_id in awake and worker.state in ("STOPPING", "SLEEPING"):
                write(awake.pop(worker.bot_id), text)
        return not awake

    for number in range(12):
        awake = {bot.id: bot for bot in bots}
        for bot in bots:
            write(bot, f"round {number}")
            bot.wait_answers(len(sent[bot.id]))
        wait_until(partial(write_to_who_falls_asleep, awake, f"late {number}"), what="all to fall asleep")
        for bot in bots:
            bot.wait_answers(len(sent[bot.id]))
    assert fleet.stop() == 0
    for bot in bots:
        assert bot.answers() == sent[bot.id]
        tally = fleet.tally(bot.id)
        assert (tally.processed, tally.waiting, tally.dead_letters) == (len(sent[bot.id]), 0, 0)


def test_what_keeps_it_awake_is_said(fleet: Fleet):
    shop = add(fleet, "shop")
    fleet.start_and_wait()
    shop.ask("schedule")

    def reason(words: str) -> bool:
        return words in (fleet.worker("shop").reason or "")

    wait_until(lambda: reason("stays awake: 1 job is scheduled"), what="the reason")
    assert "1 job is scheduled" in fleet.run("status").stdout
    shop.ask("remember")
    shop.ask("unschedule")
    wait_until(lambda: reason("stays awake: no persistence keeps its user_data"), what="the other reason")
    assert fleet.worker("shop").state == "RUNNING"
    shop.ask("forget")
    wait_asleep(fleet)
    assert fleet.worker("shop").restarts == 0


def test_bots_give_their_places_to_one_another(fleet: Fleet):
    """Whatever their idle_timeout: it is the longest idle that sleeps first."""
    fleet.sections["limits"] = {"min_free_memory": "0%", "max_workers": 2}
    bots = [add(fleet, f"bot{number}", idle_timeout="1h") for number in range(5)]
    fleet.start()
    fleet.wait_state("RUNNING", "bot0")

    wait_until(lambda: fleet.run("status").returncode == ExitCode.OK, 60.0, what="each to run or sleep")
    assert {worker.generation for worker in fleet.status().workers} == {1}
    checked = fleet.run("check")
    assert (checked.returncode, "the rest will wait" in checked.stderr) == (0, False)
    for number in range(2):
        for bot in bots:
            assert bot.ask(f"hello {number}") == f"hello {number}"
            awake = sum(worker.pid is not None for worker in fleet.status().workers)
            assert awake <= 2
    assert fleet.run("status").returncode == ExitCode.OK


def test_a_bot_that_never_sleeps_keeps_its_place(fleet: Fleet):
    fleet.sections["limits"] = {"min_free_memory": "0%", "max_workers": 1}
    fleet.sections["idle_timeout"] = "1s"
    fleet.add("shop", NAPPING, idle_timeout="0s")
    fleet.add("news", NAPPING, enabled=False)
    fleet.start()
    fleet.wait_state("RUNNING", "shop")
    fleet.entries["news"]["enabled"] = True
    fleet.configure()
    assert fleet.run("reload").returncode == 0
    fleet.wait_state("WAITING", "news")
    assert fleet.worker("shop").idle_timeout_ms is None
    assert fleet.worker("news").idle_timeout_ms == 1000
    assert "the rest will wait" in fleet.run("check").stderr


@pytest.mark.parametrize("is_killed", [False, True])
def test_the_next_master_lets_it_sleep(fleet: Fleet, is_killed: bool):
    shop, news = add(fleet, "shop"), add(fleet, "news")
    fleet.start_and_wait()
    wait_asleep(fleet)
    shop.ask("hello")
    wait_asleep(fleet)
    wait_until(lambda: fleet.remembers("asleep/shop") and fleet.remembers("asleep/news"), what="it on disk")
    if is_killed:
        fleet.kill_master()
    else:
        assert fleet.stop() == 0
    news.send("are you there?")
    fleet.start()
    news.wait_answers(1)
    wait_asleep(fleet, "shop")
    assert (fleet.worker("shop").generation, fleet.worker("shop").ingress) == (0, "ok")
    assert shop.ask("hello again") == "hello again"
    assert (fleet.worker("shop").wakes, fleet.worker("shop").restarts) == (1, 0)


def test_what_the_killed_master_left_in_the_inbox_wakes_it(fleet: Fleet):
    shop = add(fleet, "shop")
    fleet.start_and_wait()
    wait_asleep(fleet)
    wait_until(lambda: fleet.remembers("asleep/shop"), what="it on disk")
    shop.send("hello")
    wait_until(lambda: fleet.worker("shop").inbox or shop.answers(), what="the update")
    fleet.kill_master()
    fleet.start()
    shop.wait_answers(1)
    wait_asleep(fleet)
    assert set(shop.answers()) == {"hello"}


def test_commands_and_reloads_reach_it_in_its_sleep(fleet: Fleet):
    shop = add(fleet, "shop")
    fleet.start_and_wait()
    wait_asleep(fleet)
    for verb in ("start", "restart"):
        before = fleet.worker("shop").generation
        assert fleet.run(verb, "shop").returncode == 0
        assert fleet.worker("shop").generation == before + 1
        wait_asleep(fleet)
    assert fleet.run("stop", "shop").returncode == 0
    assert (fleet.worker("shop").state, fleet.worker("shop").ingress) == ("STOPPED", "off")
    assert fleet.run("start", "shop").returncode == 0
    wait_asleep(fleet)

    asleep = fleet.worker("shop").generation
    fleet.entries["shop"]["env"] = {"DB": "other.db"}
    fleet.configure()
    assert fleet.run("reload").returncode == 0
    assert (fleet.worker("shop").state, fleet.worker("shop").generation) == ("SLEEPING", asleep)
    assert shop.ask("hello") == "hello"
    wait_asleep(fleet)

    del fleet.entries["shop"]["idle_timeout"]
    fleet.configure()
    assert fleet.run("reload").returncode == 0
    fleet.wait_state("RUNNING")


def test_a_replayed_dead_letter_wakes_it(fleet: Fleet, tmp_path: Path):
    shop = fleet.add("shop", idle_timeout="1s")
    fleet.start_and_wait()
    there = tmp_path / "there"
    shop.send(f"fail-until {there}")
    (letter,) = fleet.letters("shop", 1)
    wait_asleep(fleet)
    there.touch()
    assert fleet.replay(letter.letter.id) == 1
    assert shop.wait_answers(1) == ["it is there"]


def test_a_master_that_is_replaced_lets_it_sleep(fleet: Fleet):
    shop, news = add(fleet, "shop"), fleet.add("news", NAPPING)
    fleet.start_and_wait()
    assert shop.ask("hello") == "hello"
    wait_asleep(fleet, "shop")
    before = fleet.worker("shop")
    assert fleet.run("restart").returncode == 0
    assert fleet.status().master.hot_restarts == 1
    wait_asleep(fleet, "shop")
    assert fleet.worker("shop").generation == before.generation
    assert shop.ask("hello again") == "hello again"
    assert fleet.worker("shop").restarts == before.restarts == 0
    assert news.ask("hello") == "hello"
    wait_asleep(fleet, "shop")


def test_bots_that_may_sleep_do_so_under_the_next_master(fleet: Fleet):
    shop = add(fleet, "shop", idle_timeout="3s")
    fleet.start_and_wait()
    assert fleet.run("restart").returncode == 0
    assert shop.ask("hello") == "hello"
    wait_asleep(fleet)

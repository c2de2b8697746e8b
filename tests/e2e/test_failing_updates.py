"""An update that fails, kills, comes too late or is no update at all harms nothing but itself."""

import json
import os
import signal
from collections.abc import Iterator

import pytest

from brama.clock import monotonic_s
from tests.fixtures.fleet import CHAT, Fleet, shared_fleet
from tests.waiting import wait_until

BOTS = (
    "asking",
    "broken-line",
    "failing",
    "handling",
    "late",
    "malformed",
    "mended",
    "overtaken",
    "poisoned",
    "segfaulting",
    "throttled",
    "timing-out",
)
#: Short enough to be waited for; nothing here depends on an update being younger.
MAX_AGE_S = 0.2


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Fleet]:
    """Bots that may die once an hour: deaths charged to an update are none of theirs."""
    with shared_fleet(
        tmp_path_factory,
        *BOTS,
        restart={"budget": 1, "cooldown": "0s"},
        delivery={"attempts": 3, "max_update_age": {"callback_query": f"{int(MAX_AGE_S * 1000)}ms"}},
    ) as fleet:
        yield fleet


def message(text: str, number: int = 1, name: str = "P") -> dict[str, object]:
    person = {"id": CHAT, "is_bot": False, "first_name": name}
    chat = {"id": CHAT, "type": "private", "first_name": name}
    return {"message_id": number, "date": 1_700_000_000, "chat": chat, "from": person, "text": text}


@pytest.mark.parametrize(
    ("bot_id", "deed", "logged"),
    [("poisoned", "exit 1", ""), ("segfaulting", "segfault", "in read_nowhere")],
)
def test_an_update_that_kills_three_times_is_poison_and_the_rest_is_answered(running, bot_id, deed, logged):
    bot = running.bots[bot_id]
    [_, poison, _] = bot.send("before", deed, "after")
    [letter] = running.letters(bot_id, count=1)
    running.wait_handled(bot_id)
    assert bot.answers() == ["before", "after"]
    assert (letter.letter.update_id, letter.letter.reason) == (poison, "poison")
    assert letter.detail == "its worker died 3 times while this update ran alone"
    worker = running.worker(bot_id)
    # The first death had a witness, so it is the bot's one free death; the other three are the update's.
    assert (worker.state, worker.restarts) == ("RUNNING", 4)
    assert logged in running.log(bot_id)


def test_a_handlers_exception_is_a_dead_letter_that_says_where(running):
    bot = running.bots["failing"]
    [_, failed, _] = bot.send("before", "raise the oven is cold", "after")
    running.wait_handled("failing")
    assert bot.answers() == ["before", "after"]
    [letter] = running.letters("failing")
    assert (letter.letter.update_id, letter.letter.reason) == (failed, "handler_error")
    assert (letter.letter.error, letter.detail) == ("RuntimeError", "the oven is cold")
    assert "in fail" in letter.traceback
    assert json.loads(letter.body or "")["message"]["text"] == "raise the oven is cold"
    assert running.worker("failing").errors == 1


def test_a_dead_letter_is_replayed_behind_what_waits(running, tmp_path):
    bot, file, gate = running.bots["mended"], tmp_path / "file", tmp_path / "gate"
    bot.send(f"fail-until {file}")
    [letter] = running.letters("mended", count=1)
    bot.send(f"hold {gate}", "already there")
    wait_until(lambda: running.worker("mended").inbox == 2, what="a queue to get behind")
    file.touch()
    assert running.replay(letter.letter.id) == 1
    gate.touch()
    assert bot.wait_answers(3) == ["held until gate", "already there", "it is there"]
    running.wait_handled("mended")
    assert running.letters("mended") == []


def test_a_pause_that_telegram_asks_for_is_kept_and_holds_back_its_own_chat_only(running):
    bot = running.bots["throttled"]
    control = bot.sandbox.control
    fault = control.add_fault("retry_after", bot.telegram_id, "sendDice", seconds=1, count=-1).id
    bot.send("dice")
    wait_until(lambda: control.faults()[0].fired, what="the refusal")
    bot.send("behind")
    bot.send("elsewhere", chat=8)
    bot.wait_answers(1)
    assert bot.answers() == ["elsewhere"]
    control.remove_fault(fault)
    running.wait_handled("throttled")
    sent = control.sent(bot.telegram_id)
    assert [call.method for call in sent] == ["sendMessage", "sendDice", "sendMessage"]
    assert running.letters("throttled") == []


def test_what_the_worker_holds_already_does_not_overtake_a_retry(running, tmp_path):
    bot, gate = running.bots["overtaken"], tmp_path / "gate"
    control = bot.sandbox.control
    control.add_fault("retry_after", bot.telegram_id, "sendDice", seconds=1)
    bot.send(f"hold {gate}", "dice", "behind")
    bot.send("elsewhere", chat=8)
    wait_until(lambda: running.worker("overtaken").in_flight == 4, what="all of them with the worker")
    gate.touch()
    running.wait_handled("overtaken")
    sent = [(call.method, call.params.get("text")) for call in control.sent(bot.telegram_id)]
    assert sent[1:] == [("sendMessage", "elsewhere"), ("sendDice", None), ("sendMessage", "behind")]


def test_a_request_that_never_left_is_tried_again(running, tmp_path):
    bot, file = running.bots["broken-line"], tmp_path / "file"
    bot.send(f"by-proxy-until {file}")
    wait_until(lambda: running.worker("broken-line").errors == 1, what="the failure")
    file.touch()
    assert bot.wait_answers(1) == ["through"]
    running.wait_handled("broken-line")
    assert running.letters("broken-line") == []


def test_what_was_sent_without_an_answer_is_not_sent_twice(running):
    bot = running.bots["timing-out"]
    bot.sandbox.control.add_fault("hang", bot.telegram_id, "sendMessage", applied=True)
    bot.send("impatiently paid")
    [letter] = running.letters("timing-out", count=1)
    assert (letter.letter.reason, letter.letter.error) == ("handler_error", "telegram.error.TimedOut")
    assert bot.ask("next") == "next"
    assert bot.answers() == ["paid", "next"]


def test_a_button_pressed_too_long_ago_expires(running, tmp_path):
    bot, file = running.bots["late"], tmp_path / "file"
    bot.send(f"exit-until 78 {file}")
    running.wait_state("FATAL", "late")
    bot.sandbox.control.press_button(bot.telegram_id, CHAT, 1, "ok")
    wait_until(lambda: running.worker("late").inbox == 2, what="intake for a bot that does not run")
    pressed_at = monotonic_s()
    wait_until(lambda: monotonic_s() > pressed_at + MAX_AGE_S, what="the press to be too old")
    file.touch()
    running.command("start", "late")
    [letter] = running.letters("late", count=1)
    assert (letter.letter.reason, letter.letter.kind) == ("expired", "callback_query")
    running.wait_handled("late")
    assert bot.answers() == ["still here"]


def test_a_bot_that_waits_for_a_name_gets_it_also_after_it_was_killed(running):
    bot = running.bots["asking"]
    assert bot.ask("ask") == "your name?"
    assert bot.ask("somebody else", chat=8) == "somebody else"
    pid = running.pid("asking")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: bot.answers(CHAT) == ["your name?"] * 2, what="the question, asked again")
    assert bot.ask("Ann") == "hello Ann"
    running.wait_handled("asking")


#: %d is the id under which Telegram would confirm it, where it has one.
RAW = {
    "not an object": b"[1, 2]",
    "no update_id": b'{"message": {"text": "hello"}}',
    "an update_id that is no integer": b'{"update_id": "%d", "message": {}}',
    "no JSON": b'{"update_id": %d, "message": {"text": "',
    "invalid UTF-8": b'{"update_id": %d, "message": {"text": "\xff\xfe"}}',
}


@pytest.mark.parametrize("what", RAW)
def test_what_is_no_update_is_kept_and_the_next_is_answered(running, what):
    bot = running.bots["malformed"]
    before = len(running.letters("malformed"))
    update_id = (bot.sandbox.control.state(bot.telegram_id).last_update_id or 100) + 1
    raw = RAW[what].replace(b"%d", str(update_id).encode())
    bot.sandbox.control.inject_raw(bot.telegram_id, raw, update_id)
    assert bot.ask(what) == what
    letters = running.letters("malformed", count=before + 1)
    assert len(letters) == before + 1
    assert letters[-1].letter.reason == "malformed"
    assert letters[-1].letter.size_bytes == len(raw)


def test_what_is_no_update_cannot_be_replayed(running):
    bot = running.bots["malformed"]
    bot.sandbox.control.inject_raw(bot.telegram_id, b"{}")
    bot.send("confirms it")
    letter = running.letters("malformed", count=1)[-1].letter
    done = running.run("dead-letters", "replay", str(letter.id))
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert str(letter.id) in done.stderr
    assert letter.id in [each.letter.id for each in running.letters("malformed")]


ODD = {
    "ten megabytes": (message("x" * 10 * 1024**2), "{}", "x" * 100),
    "lone surrogates": (message("handled", name="\ud800"), "{}", "handled"),
    "20,000 levels": (message("handled"), "[" * 20_000 + "]" * 20_000, None),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_updates_are_handled_or_kept_and_the_next_is_answered(running, what):
    bot, (body, extra, answer) = running.bots["handling"], ODD[what]
    control = bot.sandbox.control
    update_id = (control.state(bot.telegram_id).last_update_id or 100) + 1
    raw = f'{{"update_id": {update_id}, "message": {json.dumps(body)}, "news": {extra}}}'.encode()
    control.inject_raw(bot.telegram_id, raw, update_id)
    assert bot.ask("next", chat=8) == "next"
    running.wait_handled("handling")
    if answer is not None:
        assert bot.answers(CHAT)[-1] == answer
    kept = [(letter.letter.update_id, letter.letter.reason) for letter in running.letters("handling")]
    assert ((update_id, "malformed") in kept) is (answer is None)


def test_all_of_it_adds_up(running):
    """The last one here: every update that Telegram handed over has exactly one fate."""
    for bot_id in BOTS:
        wait_until(running.bots[bot_id].is_confirmed, what=f"the end of {bot_id}'s intake")
    assert running.stop() == 0
    for bot_id in BOTS:
        tally = running.tally(bot_id)
        fates = tally.processed + tally.dropped + tally.dead_letters + tally.purged + tally.waiting
        assert (
            tally.committed
            == fates
            == running.sandbox.control.state(running.bots[bot_id].telegram_id).confirmed
        )
        assert tally.waiting == 0

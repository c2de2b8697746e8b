"""Every usual way of running a bot serves, drains and ends with exit code 0."""

from typing import Any

import pytest

from brama.messages import Begun, Processed, Ready, Released, Returned

STYLES: dict[str, tuple[Any, list[str]]] = {
    "echo_bare.py": (None, []),
    "main_guard.py": ("all", ["echoing for __main__"]),
    "lifecycle_hooks.py": (None, ["post_init", "post_stop", "post_shutdown", "after run_polling"]),
    "own_loop_event.py": (["message", "callback_query"], ["stopped by hand"]),
    "own_loop_ctrl_c.py": (None, ["stopped in finally", "bye"]),
    "own_loop_forever.py": (None, ["loop closed"]),
    "in_a_thread.py": (None, ["bot thread through", "main thread interrupted"]),
    "restart_loop.py": (None, []),
}


@pytest.mark.parametrize("script", STYLES)
def test_each_style_serves_and_drains(start_bot, sent_texts, script):
    allowed, lines = STYLES[script]
    bot = start_bot(script)
    ready = bot.wait_ready()
    if allowed == "all":
        assert "chat_member" in ready.allowed_updates
    else:
        assert ready == Ready(allowed, 1, False)
    seqs = [bot.say("one"), bot.say("two")]
    bot.wait_processed(*seqs)
    assert [text for text in sent_texts() if text in {"one", "two"}] == ["one", "two"]
    assert bot.seqs(Begun) == bot.seqs(Released) == bot.seqs(Processed) == seqs
    assert bot.drain() == 0
    assert bot.seqs(Returned) == []
    positions = [bot.log.find(line) for line in lines]
    assert -1 not in positions, bot.log
    assert positions == sorted(positions)
    assert "Traceback" not in bot.log


def test_hooks_talk_to_telegram(start_bot, sent_texts):
    bot = start_bot("lifecycle_hooks.py")
    bot.wait_ready()
    assert bot.drain() == 0
    assert sent_texts() == ["@zoo_bot is up", "going down"]


def test_run_webhook_serves_without_listening(start_bot, sent_texts):
    bot = start_bot("webhook.py")
    assert bot.wait_ready().allowed_updates == ["message"]
    bot.wait_processed(bot.say("hello"))
    assert sent_texts() == ["hello via https://bot.example.com/hook"]
    assert "max_update_age" in bot.notice("drop_pending_updates")
    assert bot.drain() == 0


def test_dropping_pending_updates_is_refused_once(start_bot):
    bot = start_bot("main_guard.py")
    bot.wait_ready()
    assert "max_update_age" in bot.notice("drop_pending_updates")


def test_a_bot_that_stops_by_itself_ends_with_0_and_its_acks(start_bot):
    bot = start_bot("restart_loop.py")
    bot.wait_ready()
    seq = bot.say("/stop")
    assert bot.wait_exit() == 0
    assert bot.seqs(Processed) == [seq]
    assert bot.log.count("once more") == 1

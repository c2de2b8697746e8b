"""A bot that Telegram cannot reach falls back to polling, and returns to its webhook when it can."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.fleet import Bot, Fleet, new_fleet
from tests.fixtures.sandbox import RunningSandbox
from tests.ports import free_port
from tests.waiting import wait_until

SECRET = "a-secret-of-the-operator-0123456789"


@pytest.fixture
def fleet(tmp_path: Path, sandbox: RunningSandbox) -> Iterator[Fleet]:
    """A fleet that is delivered to without a proxy and falls back soon, not started."""
    port = free_port()
    webhook = {
        "host": f"http://127.0.0.1:{port}",
        "port": port,
        "secret": SECRET,
        "auto_switch": True,
        "switch_after": "1s",
        "return_after": "10s",
    }
    sandbox.control.set_limits(webhook_pause_scale=0.02)
    with new_fleet(tmp_path / "project", sandbox, mode="webhook", webhook=webhook) as made:
        yield made


def shown(fleet: Fleet, bot_id: str) -> list[str]:
    """Return the words of a bot's line in the table that an operator reads."""
    lines = fleet.run("status").stdout.splitlines()
    return next((line.split() for line in lines if line.split()[:1] == [bot_id]), [])


def delivered(fleet: Fleet, bot: Bot) -> int:
    """Return how many updates its present webhook has taken."""
    webhook = fleet.sandbox.control.state(bot.telegram_id).webhook
    return 0 if webhook is None else webhook.succeeded


def test_a_bot_falls_back_to_polling_and_returns_and_loses_nothing(fleet: Fleet):
    shop, support = fleet.add("shop"), fleet.add("support")
    fleet.sandbox.control.block_webhook(shop.telegram_id)
    sent = [f"unheard {number}" for number in range(5)]
    shop.send(*sent)
    fleet.start_and_wait()
    assert support.ask("hello") == "hello"

    assert shop.wait_answers(5, 90.0) == sent
    wait_until(lambda: "polling*" in shown(fleet, "shop"), 60.0, what="polling* in the status")
    sent += [f"polled {number}" for number in range(20)]
    shop.send(*sent[5:])
    assert shop.wait_answers(25, 90.0) == sent

    fleet.sandbox.control.block_webhook(shop.telegram_id, blocked=False)
    wait_until(lambda: fleet.worker("shop").mode == "webhook", 90.0, what="the webhook is tried again")
    sent += [f"delivered {number}" for number in range(20)]
    shop.send(*sent[25:])
    assert shop.wait_answers(45, 90.0) == sent
    wait_until(lambda: delivered(fleet, shop) > 0, 90.0, what="deliveries")

    worker = fleet.worker("shop")
    assert (worker.mode, worker.mode_configured, worker.inbox) == ("webhook", "webhook", 0)
    changes = fleet.events("ingress.switched")
    assert worker.switches == len(changes) >= 2
    assert {change["bot"] for change in changes} == {"shop"}
    moves = [(change["from"], change["to"]) for change in changes]
    assert moves == [("webhook", "polling"), ("polling", "webhook")] * (len(changes) // 2)
    assert changes[0]["reason"].startswith("Telegram cannot deliver: Connection timed out (5 updates wait")
    assert (fleet.worker("support").mode, fleet.worker("support").switches) == ("webhook", 0)
    assert fleet.sandbox.control.state(support.telegram_id).calls.get("getUpdates", 0) == 0
    assert "polling*" not in shown(fleet, "support")
    assert SECRET not in fleet.output()
    fleet.wait_handled("shop")
    assert shop.answers() == sent

"""What a new configuration touches: nothing but what differs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from brama.config.models import (
    ApiSection,
    BotLimitsSection,
    BotRestartSection,
    DeliverySection,
    HeartbeatSection,
    LimitsSection,
    TelegramSection,
    WebhookSection,
)
from brama.config.settings import Settings
from brama.ids import BotId
from supervisor.reload.policy.plan import BOOT_KEYS, PINNED, Action, BotChange, make_plan
from tests.unit.reload.configurations import ROOT, bot, settings


def touch(bot_id: str, action: Action, keys: tuple[str, ...] = ()) -> BotChange:
    return BotChange(BotId(bot_id), action, keys)


ROTATED = SecretStr("1001:BB" + "next" * 8)


def test_the_same_configuration_touches_nothing():
    running = settings(bot("shop"), bot("support", 2))
    plan = make_plan(running, settings(bot("shop"), bot("support", 2)))
    assert (plan.bots, plan.applied, plan.waiting, plan.renewed) == ((), (), (), frozenset())
    assert plan.settings == running


def test_bots_come_and_go():
    plan = make_plan(settings(bot("shop"), bot("old", 2)), settings(bot("new", 3), bot("shop")))
    assert plan.bots == (touch("new", Action.ADD), touch("old", Action.REMOVE))
    assert plan.renewed == frozenset()


@pytest.mark.parametrize(
    ("keys", "action", "is_renewed"),
    [
        ({"token": ROTATED}, Action.RESTART, True),
        ({"script": ROOT / "other.py"}, Action.RESTART, True),
        ({"args": ("--verbose",)}, Action.RESTART, True),
        ({"cwd": ROOT / "elsewhere"}, Action.RESTART, True),
        ({"env": {"DB": "shop.db"}}, Action.RESTART, True),
        ({"token_env": "BOT_TOKEN"}, Action.RESTART, True),
        ({"settings": {"greeting": "hello"}}, Action.UPDATE, False),
        ({"mode": "webhook"}, Action.UPDATE, False),
        ({"allowed_updates": ("message",)}, Action.UPDATE, False),
        ({"limits": BotLimitsSection(memory=10**8)}, Action.UPDATE, False),
        ({"restart": BotRestartSection(budget=9)}, Action.UPDATE, False),
        ({"idle_timeout": 60.0}, Action.UPDATE, False),
        ({"enabled": False}, Action.DISABLE, False),
    ],
)
def test_a_key_costs_a_process_only_if_processes_are_told_it_at_boot(keys, action, is_renewed):
    plan = make_plan(
        settings(bot("shop"), bot("support", 2)), settings(bot("shop", **keys), bot("support", 2))
    )
    assert plan.bots == (touch("shop", action, tuple(keys)),)
    assert plan.renewed == ({"shop"} if is_renewed else set())


def test_a_bot_that_becomes_enabled_starts():
    plan = make_plan(settings(bot("shop", enabled=False)), settings(bot("shop")))
    assert plan.bots == (touch("shop", Action.ENABLE, ("enabled",)),)


def test_another_bot_of_telegram_under_an_old_name_is_another_bot():
    [change] = make_plan(settings(bot("shop")), settings(bot("shop", 7))).bots
    assert change == touch("shop", Action.REPLACE, ("token",))


def test_variables_that_a_new_bot_names_are_no_change_of_the_others():
    names = frozenset({"SHOP_TOKEN"})
    more = names | {"NEW_TOKEN"}
    before = settings(bot("shop", withheld=names), withheld=names)
    after = settings(bot("shop", withheld=more), bot("new", 2, withheld=more), withheld=more)
    plan = make_plan(before, after)
    assert plan.bots == (touch("new", Action.ADD),)
    assert plan.settings == after


def test_an_entry_that_moves_from_the_platform_into_the_file_is_the_same_bot():
    assert make_plan(settings(bot("shop", origin="platform")), settings(bot("shop"))).bots == ()


def test_limits_apply_and_addresses_wait():
    running = settings(telegram=TelegramSection(base_url="http://127.0.0.1:1"))
    new = settings(
        telegram=TelegramSection(base_url="http://127.0.0.1:2"),
        limits=LimitsSection(max_workers=7),
        heartbeat=HeartbeatSection(interval=5),
        api=ApiSection(port=4000),
        delivery=DeliverySection(attempts=9, durability="normal"),
        state_dir=Path("/elsewhere"),
    )
    plan = make_plan(running, new)
    assert plan.applied == ("limits.max_workers", "heartbeat.interval", "delivery.attempts")
    assert plan.waiting == ("state_dir", "telegram.base_url", "delivery.durability", "api.port")
    assert plan.settings.limits.max_workers == 7
    assert plan.settings.delivery == DeliverySection(attempts=9)
    assert plan.settings.telegram == running.telegram
    assert plan.settings.state_dir == running.state_dir


def test_what_waits_is_said_again_until_the_next_start():
    running, new = settings(), settings(api=ApiSection(port=4000))
    again = make_plan(make_plan(running, new).settings, new)
    assert again.waiting == ("api.port",)


def test_a_certificate_is_exchanged_and_tls_itself_is_not():
    delivered = bot("shop", mode="webhook")
    plain = settings(delivered, webhook=WebhookSection(host="x.example", secret="s" * 20))
    one = settings(delivered, webhook=WebhookSection(ssl_cert=Path("/a.pem"), ssl_key=Path("/a.key")))
    other = settings(
        delivered, webhook=WebhookSection(ssl_cert=Path("/b.pem"), ssl_key=Path("/a.key"), port=9)
    )
    plan = make_plan(one, other)
    assert (plan.applied, plan.waiting) == (("webhook.ssl_cert",), ("webhook.port",))
    assert plan.settings.webhook.ssl_cert == Path("/b.pem")
    turned_on = make_plan(plain, one)
    assert turned_on.waiting == ("webhook.host", "webhook.ssl_cert", "webhook.ssl_key")
    assert turned_on.settings.webhook.ssl_cert is None


def test_every_section_is_decided_on():
    sections = {name for name in Settings.model_fields if name not in {"bots", "notices", "withheld"}}
    live = {"mode", "limits", "heartbeat", "restart", "stop", "delivery", "webhook", "bots_source"}
    live |= {"idle_timeout", "idle_unsafe"}
    assert live | set(PINNED) | {"config_path", "project_root"} == sections


def test_where_the_webhook_server_listens_is_free_while_there_is_none():
    elsewhere = WebhookSection(port=9)
    plan = make_plan(settings(bot("shop")), settings(bot("shop", mode="webhook"), webhook=elsewhere))
    assert (plan.applied, plan.waiting) == (("webhook.port",), ())
    assert plan.settings.webhook == elsewhere


FLEETS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.tuples(st.integers(1, 5), st.sampled_from(["x.py", "y.py"]), st.booleans()),
).map(
    lambda fleet: settings(*(bot(name, n, script=ROOT / s, enabled=e) for name, (n, s, e) in fleet.items()))
)


@given(FLEETS, FLEETS)
def test_a_plan_names_each_touched_bot_once_and_no_other(old, new):
    plan = make_plan(old, new)
    touched = [change.bot_id for change in plan.bots]
    before, after = {each.id: each for each in old.bots}, {each.id: each for each in new.bots}
    assert len(set(touched)) == len(touched)
    assert set(touched) == {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    }
    assert all(BOOT_KEYS & set(change.keys) for change in plan.bots if change.bot_id in plan.renewed)
    assert plan.settings.bots == new.bots

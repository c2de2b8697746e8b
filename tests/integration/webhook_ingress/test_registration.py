"""A bot's webhook is set where something differs, at no other time, and stays set."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from brama.update_kinds import UPDATE_KINDS
from supervisor.updates.ingress import IngressState
from supervisor.updates.policy.registration import CALM_LOOK_S, WATCHFUL_LOOK_S
from tests.certificates import make_certificate
from tests.integration.webhook_ingress.stage import BOT, SECRET, Home, Stage
from tests.waiting import await_until, loop_turn

#: Looks that are minutes apart are a second apart at most.
HASTE = 300.0


async def test_a_webhook_is_set_and_updates_come(home: Home):
    async with home.start(webhook={"max_connections": 7}) as stage:
        early = stage.write(2)
        assert stage.status.state is IngressState.OFF
        stage.open()
        await stage.until_set()
        await stage.until_arrived([*early, *stage.write(3)])
        assert stage.webhook.max_connections == 7
        assert stage.webhook.has_secret
        assert not stage.webhook.has_custom_certificate
        assert stage.kinds == set(UPDATE_KINDS)
        assert stage.calls("setWebhook") == 1
        assert stage.calls("getUpdates") == stage.calls("deleteWebhook") == 0
        assert (stage.status.mode, stage.status.telegram_error) == ("webhook", None)
        ((name, identity),) = stage.observed.identities
        assert (name, b'"id":1001' in identity.replace(b" ", b"")) == (BOT, True)


async def test_what_is_kept_on_disk_tells_no_secret(home: Home):
    async with home.start() as stage:
        stage.open()
        await stage.until_set()
        kept = stage.ledger.recall_one(f"webhook/1001@{stage.sandbox.base_url}") or b""
        secret = stage.ingresses.secret_of(BOT)
        assert secret is not None
        assert secret.encode() not in kept
        assert SECRET.encode() not in kept


async def test_a_restart_sets_nothing_and_asks_not_who_the_bot_is(home: Home):
    async with home.start() as stage:
        stage.open()
        stage.ingresses.set_allowed_updates(BOT, ["poll", "message"])
        await await_until(lambda: stage.record.facts.allowed_updates == ("message", "poll"))
        before = stage.calls("setWebhook")
    async with home.start() as stage:
        stage.open()
        await stage.until(IngressState.OK)
        stage.ingresses.set_allowed_updates(BOT, ["message", "poll"])
        await stage.until_arrived(stage.write(2))
        assert stage.calls("setWebhook") == before
        assert stage.calls("getMe") == 1


async def test_kinds_that_are_asked_for_before_it_is_opened_are_those_it_begins_with(home: Home):
    async with home.start() as stage:
        stage.ingresses.set_allowed_updates(BOT, ["message", "poll"])
        await loop_turn()
        stage.open()
        await await_until(lambda: stage.record.facts.allowed_updates == ("message", "poll"))
        assert stage.calls("setWebhook") == 1
    async with home.start() as stage:
        stage.ingresses.set_allowed_updates(BOT, ["message", "poll"])
        await loop_turn()
        stage.open()
        await stage.until(IngressState.OK)
        await stage.until_arrived(stage.write(1))
        assert stage.calls("setWebhook") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook": {"max_connections": 3}},
        {"webhook": {"secret": SecretStr("another-secret-of-the-operator-0123")}},
        {"allowed_updates": ("message",)},
    ],
    ids=["connections", "secret", "kinds"],
)
@pytest.mark.parametrize("is_restart", [True, False], ids=["restart", "reload"])
async def test_what_differs_is_set_once_and_nothing_is_lost(home: Home, changes: dict, is_restart: bool):
    async with home.start() as stage:
        stage.open()
        await stage.until_set()
        if not is_restart:
            stage.put(**changes)
            await is_changed(stage)
    if is_restart:
        async with home.start(**changes) as stage:
            stage.open()
            await is_changed(stage)


async def is_changed(stage: Stage) -> None:
    """Wait until a second setWebhook was made, after which updates come."""
    ids = stage.write(2)
    await await_until(lambda: stage.calls("setWebhook") == 2, what="it is set again")
    await stage.until_arrived([*ids, *stage.write(1)])
    await stage.until(IngressState.OK)
    assert stage.webhook.max_connections == stage.settings.webhook.max_connections
    kinds = set(stage.bot.allowed_updates or UPDATE_KINDS)
    assert stage.kinds == kinds


async def test_another_address_is_set(home: Home):
    async with home.start() as stage:
        stage.open()
        await stage.until_set()
        assert stage.settings.webhook.host is not None
        stage.put({"host": stage.settings.webhook.host.replace("127.0.0.1", "LOCALHOST") + "/"})
        await await_until(lambda: stage.hook_url == f"http://localhost:{home.port}/webhook/{BOT}")
        await stage.until_arrived(stage.write(1))


async def test_an_entry_that_did_not_change_disturbs_nothing(home: Home):
    async with home.start() as stage:
        stage.open()
        await stage.until_set()
        await stage.until_arrived(stage.write(1))
        looks = stage.calls("getWebhookInfo")
        stage.put()
        await stage.until_arrived(stage.write(1))
        assert stage.calls("getWebhookInfo") == looks
        stage.put({"max_connections": 2})
        await await_until(lambda: stage.webhook.max_connections == 2)


async def test_a_rotated_token_goes_on_with_the_same_webhook(home: Home):
    async with home.start() as stage:
        stage.open()
        await stage.until_set()
        stage.put(token=SecretStr("1001:" + "AB" + "testkey" * 5))
        await stage.until_looked()
        await stage.until(IngressState.OK)
        await stage.until_arrived(stage.write(1))
        assert stage.calls("setWebhook") == 1


async def test_a_certificate_is_uploaded_and_uploaded_again_when_it_changes(home: Home, tmp_path: Path):
    used = tmp_path / "used.pem"
    used.write_bytes(make_certificate(tmp_path, "first").cert.read_bytes())
    async with home.start(haste=HASTE, webhook={"certificate": used}) as stage:
        stage.open()
        await stage.until_set()
        assert stage.webhook.has_custom_certificate
        assert stage.calls("setWebhook") == 1
        used.write_bytes(make_certificate(tmp_path, "second").cert.read_bytes())
        await await_until(lambda: stage.calls("setWebhook") == 2)
        stage.put({"certificate": None})
        await await_until(lambda: not stage.webhook.has_custom_certificate)
        await stage.until_arrived(stage.write(1))


async def test_a_certificate_that_cannot_be_read_is_named(home: Home, tmp_path: Path):
    gone = tmp_path / "gone.pem"
    async with home.start(haste=HASTE, webhook={"certificate": gone}) as stage:
        stage.open()
        await stage.until(IngressState.OUTAGE, f"{gone} cannot be read: No such file or directory")
        gone.write_bytes(make_certificate(tmp_path).cert.read_bytes())
        await stage.until_set()


@pytest.mark.parametrize(("key", "value"), [("host", None), ("secret", None)])
async def test_a_missing_key_is_named_and_taken_when_it_comes(home: Home, key: str, value: None):
    async with home.start(webhook={key: value}) as stage:
        stage.open()
        await stage.until(IngressState.OUTAGE, f"webhook.{key} is not set")
        there = {"host": f"http://127.0.0.1:{home.port}", "secret": SecretStr(SECRET)}
        stage.put(there)
        await stage.until_set()


@pytest.mark.parametrize(
    ("configured", "asked", "sent"),
    [(None, ["message", "poll"], {"message", "poll"}), (("message",), ["poll"], {"message"})],
)
async def test_kinds_of_updates(home: Home, configured, asked, sent):
    async with home.start(allowed_updates=configured) as stage:
        stage.open()
        await stage.until_set()
        stage.ingresses.set_allowed_updates(BOT, asked)
        await await_until(lambda: stage.kinds == sent)
        await stage.until_set()
        assert stage.calls("setWebhook") <= 2


@pytest.mark.parametrize(("auto_switch", "pause_s"), [(False, CALM_LOOK_S), (True, WATCHFUL_LOOK_S)])
async def test_it_looks_again_sooner_if_it_is_to_fall_back(home: Home, auto_switch: bool, pause_s: float):
    async with home.start(webhook={"auto_switch": auto_switch}) as stage:
        stage.open()
        await await_until(lambda: stage.waits, what="a wait for the next look")
        assert stage.waits == [pause_s]


async def test_a_closed_bot_keeps_its_webhook_and_gets_what_waited(home: Home):
    async with home.start(haste=HASTE) as stage:
        stage.open()
        await stage.until_set()
        stage.close()
        ids = stage.write(2)
        await await_until(lambda: stage.webhook.failed >= 1)
        assert stage.webhook.last_error_message == "Wrong response from the webhook: 503 Service Unavailable"
        assert stage.status.state is IngressState.OFF
        assert stage.hook_url == stage.url
        stage.open()
        await stage.until_arrived(ids)
        assert stage.calls("setWebhook") == 1

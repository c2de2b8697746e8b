"""A bot's webhook is set where something differs, at no other time, and stays set."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from brama.clock import monotonic_s
from brama.update_kinds import UPDATE_KINDS
from supervisor.updates.ingress import IngressState
from tests.certificates import make_certificate
from tests.fixtures.sandbox import make_token
from tests.integration.sandbox.webhooks import set_again
from tests.integration.webhook_ingress.stage import BOT, SECRET, Home, Stage
from tests.waiting import await_until

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
        key = f"webhook/1001@{stage.sandbox.base_url}"
        await await_until(lambda: stage.ledger.recall_one(key))
        kept = stage.ledger.recall_one(key) or b""
        secret = stage.ingresses.secret_of(BOT)
        assert secret is not None
        assert secret.encode() not in kept
        assert SECRET.encode() not in kept


async def test_a_restart_sets_nothing_and_asks_not_who_the_bot_is(home: Home):
    async with home.start() as stage:
        stage.open()
        stage.ingresses.set_allowed_updates(BOT, ["poll", "message"])
        await await_until(lambda: stage.kinds == {"poll", "message"})
        await stage.until_set()
        before = stage.calls("setWebhook")
    async with home.start() as stage:
        stage.open()
        await stage.until(IngressState.OK)
        stage.ingresses.set_allowed_updates(BOT, ["message", "poll"])
        await stage.until_arrived(stage.write(2))
        assert stage.calls("setWebhook") == before
        assert stage.calls("getMe") == 1


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
        stage.ingresses.set_allowed_updates(BOT, asked)
        await await_until(lambda: stage.kinds == sent)
        await stage.until_set()
        assert stage.calls("setWebhook") <= 2


async def test_a_pause_that_telegram_asks_for_is_kept(home: Home):
    async with home.start() as stage:
        stage.sandbox.control.add_fault("retry_after", 1001, "setwebhook", seconds=2)
        stage.open()
        status = await stage.until(IngressState.PACED, "Telegram asked for a pause of 2 s")
        looks = stage.calls("getWebhookInfo")
        stage.put({"max_connections": 5})
        await stage.until_set()
        assert monotonic_s() >= status.since + 2
        assert stage.calls("getWebhookInfo") == looks + 2
        assert stage.webhook.max_connections == 5


async def test_a_foreign_webhook_is_replaced(home: Home):
    async with home.start(haste=HASTE) as stage:
        stage.open()
        await stage.until_set()
        await set_again(stage.sandbox, "https://elsewhere.example.com/hook")
        ids = stage.write(1)
        await stage.until_set()
        await stage.until_arrived(ids)
        assert stage.status.state is IngressState.OK


async def test_a_rival_is_a_conflict_and_never_wins(home: Home):
    async with home.start(haste=HASTE) as stage:
        stage.open()
        await stage.until_set()
        for _ in range(2):
            await set_again(stage.sandbox, "https://elsewhere.example.com/hook")
            await await_until(lambda: stage.hook_url == stage.url, what="it is set again")
        await stage.until(IngressState.CONFLICT, "somebody else keeps changing")
        await stage.until_arrived(stage.write(1))


async def test_somebody_elses_secret_is_replaced_by_the_next_master(home: Home):
    async with home.start() as stage:
        stage.open()
        await stage.until_set()
    # All that Telegram shows is as it was.
    kinds = sorted(stage.kinds)
    await set_again(stage.sandbox, stage.url, secret_token="other", max_connections=40, allowed_updates=kinds)
    async with home.start(haste=HASTE) as stage:
        ids = stage.write(1)
        stage.open()
        await stage.until_arrived(ids)
        assert stage.calls("setWebhook") >= 3


async def test_a_rejected_token_ends_it_until_the_bot_is_opened_anew(home: Home):
    async with home.start(haste=HASTE) as stage:
        stage.open()
        await stage.until_set()
        stage.sandbox.control.revoke(1001)
        await stage.until(IngressState.UNAUTHORIZED, "Telegram rejected the token: 401")
        assert [(bot, status) for bot, status, _ in stage.observed.rejections] == [(BOT, 401)]
        assert make_token(1001) not in stage.status.detail
        stage.sandbox.control.restore(1001)
        stage.open()
        await stage.until(IngressState.OK)


@pytest.mark.parametrize("method", ["getme", "getwebhookinfo", "setwebhook"])
async def test_an_outage_of_the_bot_api_is_named_and_over_when_it_is_over(home: Home, method: str):
    async with home.start(haste=HASTE) as stage:
        stage.sandbox.control.add_fault("status", 1001, method, status=503, count=-1)
        stage.open()
        await stage.until(IngressState.OUTAGE, "status 503 and no JSON of the Bot API")
        await await_until(lambda: stage.sandbox.control.faults()[0].fired >= 3)
        told = [(BOT, "status 503 and no JSON of the Bot API")] if method == "getme" else []
        assert stage.observed.unreachable == told
        stage.sandbox.control.clear_faults()
        await stage.until_set()


async def test_a_setting_that_telegram_refuses_is_named(home: Home):
    async with home.start(haste=HASTE, webhook={"host": "http://bots.example.com"}) as stage:
        stage.open()
        await stage.until(IngressState.OUTAGE, "An HTTPS URL must be provided for webhook")
        stage.put({"host": f"http://127.0.0.1:{home.port}"})
        await stage.until_set()


async def test_what_telegram_says_of_its_failures_is_shown(home: Home):
    async with home.start(haste=HASTE) as stage:
        stage.sandbox.control.block_webhook(1001)
        ids = stage.write(2)
        stage.open()
        status = await stage.until(IngressState.OUTAGE, "(2 updates wait there)")
        assert status.detail == "Telegram cannot deliver: Connection timed out (2 updates wait there)"
        assert (status.pending, status.telegram_error) == (2, "Connection timed out")
        stage.sandbox.control.block_webhook(1001, blocked=False)
        await stage.until_arrived(ids)
        status = await stage.until(IngressState.OK)
        await await_until(lambda: stage.status.pending == 0)


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

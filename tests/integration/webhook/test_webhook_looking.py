"""Health and statistics: what they say, and to whom."""

import json

import pytest

from brama.arrival import Arrival
from tests.integration.webhook.stage import SECRET, UPDATE, get, post, settings

TOKEN = "a-long-api-token-made-for-this-test"
STRANGER = "X-Real-IP: 203.0.113.9"
BEARER = f"Authorization: Bearer {TOKEN}"


async def test_health_is_fine(stage):
    got = await stage.ask(get("/health"))
    assert (got.status, json.loads(got.body)) == (200, {"ok": True, "reason": None})
    assert got.headers["content-type"] == "application/json"


async def test_health_can_be_asked_without_a_body(stage):
    client = await stage.connect()
    got = await client.ask(get("/health", method="HEAD"), is_head=True)
    assert (got.status, got.headers["content-length"]) == (200, "25")
    assert (await client.ask(post())).status == 200


async def test_health_says_to_this_machine_what_is_wrong(stage, door):
    door.ill = "inbox: No space left on device"
    got = await stage.ask(get("/health"))
    assert (got.status, json.loads(got.body)) == (503, {"ok": False, "reason": door.ill})
    assert "retry-after" in got.headers
    outside = await stage.ask(get("/health", STRANGER))
    assert outside.status == 503
    assert json.loads(outside.body) == {"ok": False, "reason": "updates cannot be taken in"}


async def test_statistics_have_the_published_fields(stage, door):
    await stage.ask(post())
    got = await stage.ask(get("/webhook/stats"))
    document = json.loads(got.body)
    assert list(document) == [
        *("accepted", "duplicates", "refused", "connections", "serving", "draining", "commit", "bots")
    ]
    assert list(document["bots"]["shop"]) == [
        *("accepted", "duplicates", "refused", "last_update_age_ms", "commit")
    ]
    assert list(document["commit"]) == ["count", "mean_ms", "p50_ms", "p99_ms", "max_ms"]
    assert SECRET.encode() not in got.raw


async def test_statistics_count_by_bot_and_reason(stage, door):
    await stage.ask(post())
    door.arrival = Arrival.DUPLICATE
    await stage.ask(post())
    door.arrival = Arrival.FULL
    await stage.ask(post())
    await stage.ask(post(secret="wrong"))
    await stage.ask(post(kind="text/plain"))
    await stage.ask(get("/nothing"))
    document = json.loads((await stage.ask(get("/webhook/stats"))).body)
    shop = document["bots"]["shop"]
    assert (shop["accepted"], shop["duplicates"]) == (1, 1)
    assert shop["refused"] == {"full": 1, "secret": 1, "content_type": 1}
    assert shop["commit"]["count"] == 2
    assert shop["commit"]["p50_ms"] <= shop["commit"]["p99_ms"] <= shop["commit"]["max_ms"]
    assert shop["last_update_age_ms"] >= 0
    assert list(document["bots"]) == ["shop"]
    assert (document["accepted"], document["duplicates"]) == (1, 1)
    assert document["refused"] == {"full": 1, "secret": 1, "content_type": 1, "not_found": 1}


async def test_strangers_make_no_entries(stage):
    client = await stage.connect()
    for number in range(300):
        await client.ask(post(path=f"/webhook/bot{number}"))
    stats = stage.server.stats()
    assert stats.bots == {}
    assert stats.refused == {"unknown_bot": 300}


async def test_a_bot_that_is_gone_is_forgotten_with_the_next_settings(stage, door):
    await stage.ask(post())
    del door.secrets["shop"]
    stage.server.reconfigure(settings())
    stats = stage.server.stats()
    assert (stats.bots, stats.accepted) == ({}, 1)


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ((), True),
        (("X-Real-IP: 127.0.0.1",), True),
        (("X-Real-IP: ::1",), True),
        ((STRANGER,), False),
        ((STRANGER, "X-Real-IP: 127.0.0.1"), False),
        (("X-Real-IP: 127.0.0.1, 203.0.113.9",), False),
        (("X-Real-IP: garbage",), False),
        ((STRANGER, "X-Forwarded-For: 127.0.0.1"), False),
        ((STRANGER, BEARER), True),
        ((STRANGER, BEARER.replace("Bearer", "bearer")), True),
        ((STRANGER, BEARER.replace("Bearer", "Basic")), False),
        ((STRANGER, BEARER + "x"), False),
        ((STRANGER, "Authorization: Bearer "), False),
        ((STRANGER, BEARER, BEARER), False),
    ],
)
async def test_statistics_are_for_this_machine_and_those_with_the_token(serve, headers, may):
    stage = await serve(token=TOKEN)
    client = await stage.connect()
    unknown = await client.ask(get("/nothing", *headers))
    got = await client.ask(get("/webhook/stats", *headers))
    assert got.status == (200 if may else 404)
    if not may:
        assert got.raw == unknown.raw


@pytest.mark.parametrize("token", [None, ""])
async def test_without_a_token_there_is_no_bearer(serve, token):
    stage = await serve(token=token)
    for bearer in ("", "None", "x"):
        got = await stage.ask(get("/webhook/stats", STRANGER, f"Authorization: Bearer {bearer}"))
        assert got.status == 404


async def test_from_a_peer_that_is_no_proxy_the_header_means_nothing(serve):
    stage = await serve(trusted_proxies=())
    assert (await stage.ask(get("/webhook/stats", STRANGER))).status == 200


async def test_a_bot_may_be_named_stats(stage, door):
    door.secrets["stats"] = SECRET
    assert (await stage.ask(post(path="/webhook/stats"))).status == 200
    assert door.taken == [("stats", UPDATE)]
    assert (await stage.ask(get("/webhook/stats"))).status == 200

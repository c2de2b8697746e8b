"""Asking a platform: what is asked, what is taken, and what is kept when it goes wrong."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from brama.config.platform_bots import with_platform_bots
from brama.errors import ConfigError
from supervisor.platform.answer import Answer, SourceStatus
from tests.integration.platform.stage import BEARER, KEY, Platform, Stage
from tests.unit.config.project import Project, made_up_token
from tests.waiting import await_until


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "bots_source.json"


async def test_the_first_question(platform: Platform, cache: Path):
    platform.list({"id": "a"}, {"id": "b"})
    async with Stage(platform, cache) as stage:
        assert stage.source.status == SourceStatus(ok=False, detail="not asked yet")
        answer = await stage.first()
    assert answer is not None
    assert answer.content == {"bots": [{"id": "a"}, {"id": "b"}]}
    assert stage.source.accepted is answer
    assert stage.source.status == SourceStatus(True, "", stage.now, False, 2)
    (headers,) = platform.asked
    assert (headers["Authorization"], headers["Accept"]) == (f"Bearer {BEARER}", "application/json")
    assert "If-None-Match" not in headers


async def test_no_token_is_sent_where_none_is_set(platform: Platform, cache: Path):
    async with Stage(platform, cache, token=None) as stage:
        await stage.first()
    assert "Authorization" not in platform.asked[0]


async def test_only_what_is_new_is_offered(platform: Platform, cache: Path):
    async with Stage(platform, cache) as stage:
        await stage.first()
        stage.now += 60
        await stage.ask()
        assert len(stage.judge.seen) == 1
        assert stage.source.status == SourceStatus(True, "", stage.now, False, 0)
        platform.list({"id": "a"})
        await stage.ask()
        assert [answer.bots for answer in stage.judge.seen] == [0, 1]
        platform.list({"id": "a"})
        await stage.ask()
        await stage.ask()
        assert len(stage.judge.seen) == 2
    sent = [headers.get("If-None-Match") for headers in platform.asked]
    assert sent == [None, '"0"', '"0"', '"1"', '"2"']
    assert set(stage.waits) == {60.0}


async def test_a_run_without_a_first_question_asks_at_once(platform: Platform, cache: Path):
    platform.list({"id": "a"})
    async with Stage(platform, cache) as stage:
        await stage.ask()
        assert len(platform.asked) == 2
        assert len(stage.judge.seen) == 1


async def test_a_question_out_of_turn(platform: Platform, cache: Path):
    async with Stage(platform, cache) as stage:
        await stage.ask()
        platform.list({"id": "a"})
        stage.source.ask_soon()
        await await_until(lambda: len(stage.judge.seen) == 2)


async def hang(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def stall(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"bots": ')
    return await hang(request)


async def truncate(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"bots": ')
    assert request.transport is not None
    request.transport.close()
    return response


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(200):
        await response.write(b" " * 1000)
    return response


def status(number: int, **headers: str):
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=number, text=f"hush {KEY}", headers=headers)

    return answer


TROUBLES = [
    (status(500), "status 500 instead of 200"),
    (status(204), "status 204 instead of 200"),
    (status(401), "status 401: the token is not accepted; check bots_source.token"),
    (status(404), "status 404: there is nothing at this address; check bots_source.url"),
    (status(302, Location="/elsewhere"), "a redirect (302), which is not followed"),
    (hang, "no whole answer within 1 s"),
    (stall, "no whole answer within 1 s"),
    (truncate, "the answer broke off"),
    (hang_up, "the connection was closed without an answer"),
    (endless, "the answer is larger than 100000 bytes"),
    (status(200), "is not JSON in UTF-8"),
]


@pytest.mark.parametrize(("handler", "words"), TROUBLES, ids=[words[:30] for _, words in TROUBLES])
async def test_trouble_keeps_the_bots_and_is_said_once(platform: Platform, cache: Path, handler, words: str):
    platform.list({"id": "a"})
    async with Stage(platform, cache) as stage:
        accepted = await stage.first()
        kept = cache.read_bytes()
        platform.handler = handler
        with capture_logs() as logs:
            await stage.ask()
            await stage.ask()
            wrong = stage.source.status
            assert stage.source.accepted is accepted
            assert cache.read_bytes() == kept
            platform.handler = None
            await stage.ask()
    assert (wrong.ok, wrong.bots, wrong.fetched_utc) == (False, 1, stage.now)
    assert words in wrong.detail
    event = "platform.refused" if "JSON" in words else "platform.unreachable"
    assert [line["event"] for line in logs] == [event, "platform.recovered"]
    assert words in logs[0]["detail"]
    assert stage.source.status.ok
    assert len(stage.judge.seen) == 1
    assert {"elsewhere": ""} not in platform.asked
    for secret in ("hush", KEY, BEARER):
        assert secret not in repr((logs, wrong))


async def test_a_platform_that_is_down(platform: Platform, cache: Path):
    async with Stage(platform, cache) as stage:
        await stage.first()
        await platform.close()
        for _ in range(3):
            await stage.ask()
        assert "cannot connect: Connect" in stage.source.status.detail
        await platform.open()
        await stage.ask()
        assert stage.source.status.ok
    assert stage.waits == [60.0, 5.0, 10.0, 20.0, 60.0]


async def test_a_platform_that_asks_for_a_pause_gets_it(platform: Platform, cache: Path):
    platform.handler = status(503, **{"Retry-After": "600"})
    async with Stage(platform, cache) as stage:
        assert await stage.first() is None
        await stage.ask()
        platform.handler = status(500, **{"Retry-After": "600"})
        await stage.ask()
    assert stage.waits == [pytest.approx(630), pytest.approx(630), 20.0]


async def test_a_304_that_nobody_asked_for_is_no_answer(platform: Platform, cache: Path):
    platform.handler = status(304)
    async with Stage(platform, cache) as stage:
        assert await stage.first() is None
        assert stage.source.status == SourceStatus(False, "status 304 instead of 200")


async def test_an_etag_is_remembered_once_its_answer_is_accepted(platform: Platform, cache: Path):
    platform.list({"id": "a"})
    async with Stage(platform, cache) as stage:
        stage.judge.reason = "bots_source: bots[0].script: is wrong\nbots_source: bots[1].id: too"
        with capture_logs() as logs:
            assert await stage.first() is None
            await stage.ask()
        summary = "the answer is refused: bots_source: bots[0].script: is wrong (and 1 more)"
        assert stage.source.status == SourceStatus(False, summary)
        (line,) = logs
        assert (line["event"], line["detail"], len(line["faults"])) == ("platform.refused", summary, 2)
        assert not cache.exists()
        stage.judge.reason = None
        await stage.ask()
        assert stage.source.status.ok
        await stage.ask()
    assert [headers.get("If-None-Match") for headers in platform.asked] == [None, None, None, '"1"']
    assert len(stage.judge.seen) == 3
    assert set(stage.waits) == {60.0}


async def test_malformed_answers_keep_the_fleet_as_it_is(platform: Platform, cache: Path, tmp_path: Path):
    project = Project(tmp_path)
    settings = project.load("bots: []")
    fleet: list[str] = []

    async def offer(answer: Answer) -> str | None:
        together, _ = with_platform_bots(settings, answer.content, {})
        fleet[:] = [bot.id for bot in together.bots]
        return None

    good = {"id": "a", "token": made_up_token(1), "script": "bots/shop.py"}
    platform.list(good)
    async with Stage(platform, cache) as stage:
        stage.judge = offer  # type: ignore[assignment]
        await stage.first()
        assert fleet == ["a"]
        for bad in ({"id": "b"}, {**good, "id": "b", "surprise": 1}, {**good, "token": "x"}):
            platform.list(bad)
            await stage.ask()
            assert stage.source.status.detail.startswith("the answer is refused: bots_source: bots[0]")
        platform.body = json.dumps({"bots": None}).encode()
        await stage.ask()
        assert "bots: is missing" in stage.source.status.detail
        assert fleet == ["a"]
        platform.list(good, {**good, "id": "b", "token": made_up_token(2)})
        await stage.ask()
        assert (fleet, stage.source.status.ok) == (["a", "b"], True)


async def test_an_offer_that_raises_is_a_refusal(platform: Platform, cache: Path):
    async def offer(_answer: Answer) -> str | None:
        raise ConfigError("bots_source: no")

    async with Stage(platform, cache) as stage:
        stage.judge = offer  # type: ignore[assignment]
        assert await stage.first() is None
        assert stage.source.status.detail == "the answer is refused: bots_source: no"

"""The routes about jobs, over real sockets and on a real queue server."""

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from jobs.operations import JobOperations
from jobs.policy.verdict import Cause
from jobs.storage.dead_letters import DeadLetter
from supervisor.control.job_routes import MAX_AT_ONCE
from tests.fakes_control import FakeMaster, serve
from tests.integration.jobs.processes import House
from tests.integration.jobs.stage import QUEUE, Processing, consuming, new_job

TOKEN = "a-long-api-token-made-for-this-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
LETTER = DeadLetter(
    QUEUE, "a", 3, "REPORT", Cause.ERROR, "no", "stack", {"half": "\ud83d", "not": 1.0}, 1.5, 2.5
)
GUARDED = (
    ("GET", "letters"),
    ("GET", "letters/1"),
    ("GET", f"queues/{QUEUE}/a"),
    ("POST", "letters/retry"),
    ("POST", "letters/resolve"),
    ("POST", "letters/clean"),
    ("POST", f"queues/{QUEUE}/pause"),
    ("POST", f"queues/{QUEUE}/resume"),
)


@pytest.fixture
def jobs(at: House) -> JobOperations:
    return JobOperations(at.queue, at.letters, at.outbox)


@pytest.fixture
async def api(at: House, jobs: JobOperations) -> AsyncIterator[aiohttp.ClientSession]:
    server = serve(FakeMaster(), at.state_dir, TOKEN, jobs)
    await server.start()
    host, port = server.tcp_address
    async with aiohttp.ClientSession(f"http://{host}:{port}/api/jobs/", headers=BEARER) as session:
        yield session
    await server.aclose()


async def bury(at: House, *job_ids: str, **more) -> list[int]:
    for job_id in job_ids:
        await at.letters.record(replace(LETTER, job_id=job_id, **more))
    return [letter.letter_id for letter in reversed(await at.letters.page(limit=len(job_ids)))]


async def get(api: aiohttp.ClientSession, path: str):
    async with api.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def post(api: aiohttp.ClientSession, path: str, body: object = None):
    async with api.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def test_numbers_are_open_to_readers_and_everything_else_needs_the_token(at: House, api):
    await bury(at, "a")
    async with aiohttp.ClientSession(api._base_url) as stranger:
        async with stranger.get("/api/jobs") as answer:
            assert answer.status == 200
            (queue,) = (await answer.json())["queues"]
            assert (queue["name"], queue["dead_letters"], queue["paused"]) == (QUEUE, 1, False)
        for method, path in GUARDED:
            async with stranger.request(method, path) as answer:
                assert answer.status == 401, path
    assert await at.letters.count_open() == 1


async def test_the_token_is_not_enough_for_what_does_not_exist(at: House, api):
    for path in ("letters/99", f"queues/{QUEUE}/none"):
        async with api.get(path) as answer:
            assert answer.status == 404


async def test_letters_are_listed_without_their_payload(at: House, api):
    first, second = await bury(at, "a", "b")
    page = await get(api, "letters?limit=1")
    (letter,) = page["letters"]
    assert page["next"] == letter["id"] == second
    assert "payload" not in letter
    assert letter == {
        "id": second, "queue": QUEUE, "type": "REPORT", "job_id": "b", "cause": "error", "error": "no",
        "attempts": 3, "created_utc": 1.5, "died_utc": 2.5, "resolved_utc": None, "note": "",
    }  # fmt: skip
    assert [each["id"] for each in (await get(api, f"letters?before={second}"))["letters"]] == [first]
    assert (await get(api, "letters?queue=other&type=REPORT&cause=error"))["letters"] == []
    for wrong, status in (("limit=x", 400), ("cause=typo", 409)):
        async with api.get(f"letters?{wrong}") as answer:
            assert answer.status == status


async def test_payloads_are_there_where_they_are_asked_for(at: House, api):
    (letter,) = await bury(at, "a")
    assert "payload" not in await get(api, f"letters/{letter}")
    shown = await get(api, f"letters/{letter}?payload=1")
    assert (shown["stack"], shown["payload"]) == ("stack", LETTER.payload)
    await at.queue.add(new_job("b", {"page": 1}))
    async with consuming(at.server.url, Processing()):
        await at.wait_state(QUEUE, "b", "completed")
    shown = await get(api, f"queues/{QUEUE}/b")
    assert (shown["state"], shown["attempts"]) == ("completed", 1)
    assert not {"payload", "result", "progress"} & set(shown)
    shown = await get(api, f"queues/{QUEUE}/b?payload=1")
    assert shown["payload"] == shown["result"] == {"page": 1}


async def test_letters_are_retried_and_resolved_by_id_or_by_what_they_are(at: House, api):
    first, second = await bury(at, "a", "b")
    (third,) = await bury(at, "c", queue="other")
    assert await post(api, "letters/retry", {"ids": [first]}) == (
        200, {"count": 1, "problems": [], "next": None},
    )  # fmt: skip
    assert (await post(api, "letters/retry", {"all": True, "queue": "other"}))[1]["count"] == 1
    assert await at.state("other", "c") == "waiting"
    status, answer = await post(api, "letters/resolve", {"ids": [second, third], "note": " by hand "})
    assert (status, answer["count"], answer["problems"]) == (200, 1, [f"letter {third}: is resolved already"])
    assert (await get(api, f"letters/{second}"))["letter"]["note"] == "by hand"
    assert await at.letters.count_open() == 0
    assert await post(api, "letters/clean", {"older_than_s": 0}) == (200, {"count": 3, "more": False})


async def test_more_letters_than_one_request_deals_with(at: House, api):
    ids = await bury(at, *(f"j{number}" for number in range(MAX_AT_ONCE + 5)))
    status, answer = await post(api, "letters/resolve", {"all": True, "note": "n"})
    assert (status, answer["count"], answer["next"]) == (200, MAX_AT_ONCE, ids[5])
    status, answer = await post(api, "letters/resolve", {"all": True, "note": "n", "before": answer["next"]})
    assert (status, answer["count"], answer["next"]) == (200, 5, None)
    assert (await post(api, "letters/retry", {"ids": ids}))[0] == 400


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("letters/retry", {}, 400),
        ("letters/retry", {"ids": [1], "all": True}, 400),
        ("letters/retry", {"ids": [1], "queue": "q"}, 400),
        ("letters/retry", {"ids": ["1"]}, 400),
        ("letters/retry", {"ids": [1 << 70]}, 400),
        ("letters/retry", {"ids": [99]}, 409),
        ("letters/retry", {"everything": True}, 400),
        ("letters/resolve", {"ids": [1]}, 400),
        ("letters/resolve", {"ids": [1], "note": " "}, 400),
        ("letters/clean", {"older_than_s": -1}, 400),
        ("letters/clean", {}, 400),
        ("queues/typo/pause", None, 409),
    ],
)
async def test_wishes_that_make_no_sense_change_nothing(at: House, api, path, body, status):
    await bury(at, "a")
    answered, answer = await post(api, path, body)
    assert answered == status, answer
    assert answer["error"].count("\n") == 0
    assert await at.letters.count_open() == 1


async def test_a_queue_is_paused_and_resumed_whatever_its_name(at: House, api):
    await at.queue.add(replace(new_job("a"), queue="a b/c"))
    assert await post(api, "queues/a%20b%2Fc/pause") == (200, {"queue": "a b/c", "paused": True})
    assert await at.queue.is_paused("a b/c")
    assert await post(api, "queues/a%20b%2Fc/resume") == (200, {"queue": "a b/c", "paused": False})
    assert not await at.queue.is_paused("a b/c")


async def test_without_jobs_every_route_says_how_to_have_them(tmp_path):
    server = serve(FakeMaster(), tmp_path, TOKEN)
    await server.start()
    host, port = server.tcp_address
    async with aiohttp.ClientSession(f"http://{host}:{port}/api/jobs/", headers=BEARER) as session:
        for method, path in (("GET", "/api/jobs"), *GUARDED):
            body: dict[str, object] = {"older_than_s": 0} if path.endswith("clean") else {"ids": [1]}
            if path.endswith("resolve"):
                body["note"] = "n"
            async with session.request(method, path, json=body if method == "POST" else None) as answer:
                assert answer.status == 404, path
                assert "jobs.enabled: true" in (await answer.json())["error"]
    await server.aclose()

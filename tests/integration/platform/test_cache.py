"""The last accepted answer on disk: a start while the platform is away, and writing that goes wrong."""

import asyncio
import resource
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from supervisor.platform.answer import Answer, SourceStatus, parse
from supervisor.platform.cache import CACHE_NAME, AnswerCache
from tests.integration.platform.stage import Platform, Stage, body_of

URL = "https://platform.example.com/bots"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / CACHE_NAME


def answer_of(*bots: object, etag: str | None = '"1"') -> Answer:
    raw = body_of(*bots)
    return Answer(raw, parse(raw), etag, 1_700_000_000.5)


@contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size_bytes``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_start_while_the_platform_is_down(platform: Platform, cache: Path):
    platform.list({"id": "a"})
    async with Stage(platform, cache) as stage:
        await stage.first()
        fetched_utc = stage.now
    await platform.close()
    async with Stage(platform, cache) as stage:
        stage.now += 3600
        answer = await stage.first()
        assert answer is not None
        assert (answer.content, answer.etag, answer.is_cached) == ({"bots": [{"id": "a"}]}, '"1"', True)
        status = stage.source.status
        assert (status.ok, status.fetched_utc, status.from_cache, status.bots) == (
            False,
            fetched_utc,
            True,
            1,
        )
        assert status.detail.startswith("cannot connect")
        await platform.open()
        await stage.ask()
        assert stage.source.status == SourceStatus(True, "", stage.now, False, 1)
        assert len(stage.judge.seen) == 1
    assert platform.asked[-1]["If-None-Match"] == '"1"'


async def test_a_start_confirms_what_is_on_disk(platform: Platform, cache: Path):
    platform.list({"id": "a"})
    async with Stage(platform, cache) as stage:
        await stage.first()
    before = cache.stat()
    async with Stage(platform, cache) as stage:
        answer = await stage.first()
        assert answer is not None
        assert stage.source.status == SourceStatus(True, "", stage.now, False, 1)
    assert [headers.get("If-None-Match") for headers in platform.asked] == [None, '"1"']
    assert cache.stat().st_ino == before.st_ino


async def test_the_answer_on_disk_stands_in_for_one_that_is_refused(platform: Platform, cache: Path):
    platform.list({"id": "a"})
    async with Stage(platform, cache) as stage:
        await stage.first()
    platform.list({"id": "b"})
    async with Stage(platform, cache) as stage:

        async def offer(answer: Answer) -> str | None:
            return None if answer.content["bots"] == [{"id": "a"}] else "bots_source: b is wrong"

        answer = await stage.source.first(5.0, offer)
        assert answer is not None
        assert answer.is_cached
        assert stage.source.status == SourceStatus(
            False, "the answer is refused: bots_source: b is wrong", stage.now, True, 1
        )


async def test_an_answer_on_disk_that_is_refused_too(platform: Platform, cache: Path):
    async with Stage(platform, cache) as stage:
        await stage.first()
    asked_before = len(platform.asked)
    async with Stage(platform, cache) as stage:
        stage.judge.reason = "bots_source: the script is gone"
        assert await stage.first() is None
        assert len(stage.judge.seen) == 1
        await platform.close()
        assert stage.source.status == SourceStatus(
            False, "the answer is refused: bots_source: the script is gone"
        )
    async with Stage(platform, cache) as stage:
        stage.judge.reason = "bots_source: the script is gone"
        with capture_logs() as logs:
            assert await stage.first() is None
        assert [line["event"] for line in logs] == ["platform.unreachable", "platform.cache_unusable"]
        assert stage.source.status.detail.startswith("cannot connect")
        await platform.open()
        await stage.ask()
    assert [headers.get("If-None-Match") for headers in platform.asked[asked_before:]] == ['"0"', None]


async def test_the_file_is_its_owners_and_holds_the_answer_as_it_came(cache: Path):
    raw = b'{"bots" : [ {"id":"\xc3\xa4"} ]}\n'
    answer = Answer(raw, parse(raw), None, 1_700_000_000.5)
    assert await AnswerCache(cache, URL).keep(answer)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    loaded = await AnswerCache(cache, URL).load()
    assert loaded is not None
    assert (loaded.raw.strip(), loaded.content) == (raw.strip(), answer.content)
    assert (loaded.etag, loaded.fetched_utc, loaded.is_cached) == (None, 1_700_000_000.5, True)
    assert [path.name for path in cache.parent.iterdir()] == [CACHE_NAME]


async def test_a_disk_that_is_full_leaves_the_old_answer(cache: Path):
    kept = AnswerCache(cache, URL)
    assert await kept.keep(answer_of({"id": "old"}))
    before = cache.read_bytes()
    with capture_logs() as logs:
        for _ in range(2):
            with full_disk(100):
                assert not await kept.keep(answer_of({"id": "new" * 1000}))
    assert [line["event"] for line in logs] == ["platform.cache_unwritten"]
    assert "cannot be written: File too large" in logs[0]["detail"]
    assert cache.read_bytes() == before
    assert [path.name for path in cache.parent.iterdir()] == [CACHE_NAME]


async def test_an_answer_that_could_not_be_written_is_written_later(platform: Platform, cache: Path):
    platform.list({"id": "a"})
    async with Stage(platform, cache) as stage:
        cache.mkdir()
        answer = await stage.first()
        assert answer is not None
        assert stage.source.status.ok
        cache.rmdir()
        await stage.ask()
    assert msgspec.json.decode(cache.read_bytes())["answer"] == answer.content


@pytest.mark.parametrize("call", ["fsync", "rename"])
async def test_a_kill_in_the_middle_leaves_the_old_answer(cache: Path, call: str):
    assert await AnswerCache(cache, URL).keep(answer_of({"id": "old"}))
    code = f"""
import asyncio, os, pathlib, signal, sys
from supervisor.platform.answer import Answer
from supervisor.platform.cache import AnswerCache
os.{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
answer = Answer(b'{{"bots": []}}', None, None, 0.0)
asyncio.run(AnswerCache(pathlib.Path(sys.argv[1]), sys.argv[2]).keep(answer))
"""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(cache), URL)
    assert await child.wait() == -signal.SIGKILL
    assert len(list(cache.parent.iterdir())) == 2
    loaded = await AnswerCache(cache, URL).load()
    assert loaded is not None
    assert loaded.content == {"bots": [{"id": "old"}]}
    assert [path.name for path in cache.parent.iterdir()] == [CACHE_NAME]


FOREIGN = [
    (b"", "is not what was written"),
    (b"\xff\x00", "is not what was written"),
    (b'{"bots": []}', "is not what was written"),
    (
        b'{"version":1,"url":"%s","fetched_utc":0.0,"etag":null,"answer":' % URL.encode(),
        "is not what was written",
    ),
    (
        b'{"version":2,"url":"%s","fetched_utc":0.0,"etag":null,"answer":{}}' % URL.encode(),
        "or of another version",
    ),
    (
        b'{"version":1,"url":"https://h","fetched_utc":0.0,"etag":null,"answer":{}}',
        "is of another address than bots_source.url",
    ),
]


@pytest.mark.parametrize(("content", "words"), FOREIGN)
async def test_a_file_that_is_not_ours_is_left_aside(cache: Path, content: bytes, words: str):
    cache.write_bytes(content)
    with capture_logs() as logs:
        assert await AnswerCache(cache, URL).load() is None
    (line,) = logs
    assert line["event"] == "platform.cache_unusable"
    assert words in line["detail"]


async def test_a_folder_in_place_of_the_file(cache: Path):
    cache.mkdir()
    with capture_logs() as logs:
        assert await AnswerCache(cache, URL).load() is None
        assert not await AnswerCache(cache, URL).keep(answer_of())
    assert [line["event"] for line in logs] == ["platform.cache_unusable", "platform.cache_unwritten"]
    assert "cannot be read: Is a directory" in logs[0]["detail"]
    assert list(cache.parent.iterdir()) == [cache]


async def test_no_file_is_nothing_to_speak_of(cache: Path):
    with capture_logs() as logs:
        assert await AnswerCache(cache, URL).load() is None
    assert logs == []

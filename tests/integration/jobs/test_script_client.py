"""Scripts that share one connection, and what becomes of them when it, or its server, ends in mid-command."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    NoPermissionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.engine.connections import is_unavailable, producer_client, worker_client
from jobs.engine.programs import find_program
from jobs.engine.script_client import ScriptClient
from jobs.engine.server import QueueServer
from tests.certificates import make_certificate
from tests.integration.jobs.stage import redis, stopped
from tests.integration.jobs.tls_front import tls_front
from tests.waiting import await_until, loop_turn

MANY = 50


@asynccontextmanager
async def opened(client: Redis) -> AsyncIterator[Redis]:
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture
async def producer(server: QueueServer) -> AsyncIterator[Redis]:
    """It tries nothing again."""
    async with opened(producer_client(server.url)) as client:
        yield client


@pytest.fixture
async def worker(server: QueueServer) -> AsyncIterator[Redis]:
    """It tries again for some seconds."""
    async with opened(worker_client(server.url)) as client:
        yield client


async def say(client: Redis, text: str) -> str:
    """Have the server say ``text``."""
    answer = await client.register_script("return ARGV[1]")(args=[text])
    assert isinstance(answer, str)
    return answer


async def say_many(client: Redis, name: object = "") -> None:
    """Have the server say many things at once, and see that each caller is told its own."""
    texts = [f"{name} {number}" for number in range(MANY)]
    assert await asyncio.gather(*(say(client, text) for text in texts)) == texts


async def begin(client: Redis, *texts: str) -> list[asyncio.Task[str]]:
    """Return the tasks of callers that wait for their answers."""
    assert isinstance(client, ScriptClient)
    tasks = [asyncio.create_task(say(client, text)) for text in texts]
    await await_until(lambda: len(client._link._asked) == len(tasks))
    await loop_turn()
    return tasks


async def wait_ended(client: Redis) -> None:
    """Wait until the scripts' connection has ended."""
    assert isinstance(client, ScriptClient)
    await await_until(lambda: client._link._writer is None)


def signal_server(server: QueueServer, number: signal.Signals) -> None:
    assert server.pid is not None
    os.kill(server.pid, number)


async def wait_next_server(server: QueueServer, pid: int | None) -> None:
    """Wait until another server than ``pid`` takes commands."""

    async def answers() -> bool:
        with suppress(RedisError, OSError):
            async with redis(server.url) as client:
                return bool(await client.ping())
        return False

    await await_until(lambda: server.pid not in (None, pid))
    await await_until(answers)


async def connections(server: QueueServer) -> int:
    """Return how many clients the server has beside the one that asks."""
    async with redis(server.url) as client:
        return len(await client.client_list()) - 1


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_a_killed_server_has_not_answered_fails(tmp_path: Path, loop):
    """In both kinds of event loops: a worker has uvloop's, whose transports refuse more once closed."""
    complaints: list[dict[str, object]] = []

    async def history() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        server = QueueServer(find_program(), tmp_path)
        await server.start()
        async with opened(producer_client(server.url)) as client:
            await say_many(client)
            pid = server.pid
            signal_server(server, signal.SIGSTOP)
            pending = await begin(client, *map(str, range(MANY)))
            signal_server(server, signal.SIGKILL)
            ends = await asyncio.gather(*pending, return_exceptions=True)
            assert {type(end) for end in ends} == {RedisConnectionError}
            assert all(is_unavailable(end) for end in ends if isinstance(end, BaseException))
            await wait_next_server(server, pid)
            await say_many(client)
        await server.stop()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(history())
    assert complaints == []


async def test_what_a_killed_server_has_not_answered_is_asked_again(server: QueueServer, worker: Redis):
    pid = server.pid
    signal_server(server, signal.SIGSTOP)
    asking = asyncio.create_task(say_many(worker))
    await loop_turn()
    signal_server(server, signal.SIGKILL)
    await wait_next_server(server, pid)
    await asking


async def test_callers_get_their_own_answers_while_servers_are_killed(server: QueueServer, worker: Redis):
    ended = asyncio.Event()
    rounds = 0

    async def ask() -> None:
        nonlocal rounds
        while not ended.is_set():
            await say_many(worker, rounds)
            rounds += 1

    asking = asyncio.create_task(ask())
    for _ in range(3):
        seen, pid = rounds, server.pid
        await await_until(lambda: rounds > seen + 2)  # noqa: B023
        signal_server(server, signal.SIGKILL)
        await wait_next_server(server, pid)
    ended.set()
    await asking


async def test_callers_get_their_own_answers_while_connections_are_killed(server: QueueServer, worker: Redis):
    rounds = 0

    async def ask() -> None:
        nonlocal rounds
        for rounds in range(30):
            await say_many(worker, rounds)

    asking = asyncio.create_task(ask())
    async with redis(server.url) as client:
        while not asking.done():
            await client.client_kill_filter(_type="normal", skipme=True)
            seen = rounds
            await await_until(lambda: rounds > seen or asking.done())  # noqa: B023
    await asking


async def test_an_idle_connection_that_the_server_ended_is_opened_anew(server: QueueServer, producer: Redis):
    await say(producer, "a")
    async with redis(server.url) as client:
        await client.client_kill_filter(_type="normal", skipme=True)
    await wait_ended(producer)
    assert await say(producer, "b") == "b"


async def test_a_server_that_hangs_costs_a_time_limit_and_no_answer_goes_astray(
    server: QueueServer, producer: Redis
):
    await say(producer, "before")
    with stopped(server):
        pending = await begin(producer, "a", "b")
        ends = await asyncio.gather(*pending, return_exceptions=True)
        assert [type(end) for end in ends] == [RedisTimeoutError] * 2
    await say_many(producer)


async def test_callers_of_a_server_that_hangs_wait_for_one_connection(tmp_path: Path):
    """One after the other, each with a time limit of its own, the last would wait for minutes."""
    accepted: list[asyncio.StreamWriter] = []
    path = tmp_path / "silent.sock"
    async with await asyncio.start_unix_server(lambda _, writer: accepted.append(writer), path):
        async with opened(producer_client(f"unix://{path}")) as client:
            asking = (client.evalsha("0" * 40, 0) for _ in range(MANY))
            ends = await asyncio.gather(*asking, return_exceptions=True)
        assert len(ends) == MANY
        assert all(is_unavailable(end) for end in ends if isinstance(end, BaseException))
        assert len(accepted) == 1
        for writer in accepted:
            writer.close()


async def test_the_answer_of_a_caller_that_was_cancelled_goes_to_nobody(server: QueueServer, producer: Redis):
    await say(producer, "before")
    with stopped(server):
        first, second, third = await begin(producer, "a", "b", "c")
        unsent = asyncio.create_task(say(producer, "d"))
        second.cancel()
        await loop_turn()
        unsent.cancel()
        last = asyncio.create_task(say(producer, "e"))
    assert [await each for each in (first, third, last)] == ["a", "c", "e"]
    assert second.cancelled()
    assert unsent.cancelled()


async def test_a_caller_that_is_cancelled_while_it_connects_holds_up_no_other(
    server: QueueServer, producer: Redis
):
    tasks = [asyncio.create_task(say(producer, text)) for text in ("a", "b")]
    await loop_turn()
    tasks[0].cancel()
    assert await tasks[1] == "b"
    await say_many(producer)


async def test_large_answers_come_whole_among_small_ones(worker: Redis):
    large = "ü" * 10_000_000
    twice = worker.register_script("return {{ARGV[1], 1}, {ARGV[1]}, 'end'}")
    first, between, last = await asyncio.gather(say(worker, "a"), twice(args=[large]), say(worker, "b"))
    assert (first, last) == ("a", "b")
    assert between == [[large, 1], [large], "end"]


async def test_an_error_is_its_callers_alone(worker: Redis):
    async def fail(text: str) -> None:
        await worker.register_script("return redis.error_reply(ARGV[1])")(args=[text])

    ends = await asyncio.gather(
        say(worker, "a"), fail("MINE a"), say(worker, "b"), fail("OOM b"), return_exceptions=True
    )
    assert [ends[0], ends[2]] == ["a", "b"]
    assert [type(ends[1]), type(ends[3])] == [ResponseError, OutOfMemoryError]
    assert str(ends[1]).startswith("MINE a")
    with pytest.raises(ResponseError, match="user_script"):
        await worker.register_script("return nil + 1")()


async def test_a_server_that_is_busy_with_a_script_is_unavailable_not_wrong(
    server: QueueServer, producer: Redis
):
    await say(producer, "before")
    async with redis(server.url) as client:
        await client.config_set("busy-reply-threshold", 1)
        endless: asyncio.Future[object] = asyncio.ensure_future(client.eval("while true do end", 0))
        ends: list[BaseException] = []

        async def is_busy() -> bool:
            try:
                await say(producer, "a")
            except RedisError as error:
                ends.append(error)
            return bool(ends)

        await await_until(is_busy)
        await client.script_kill()
        with pytest.raises(ResponseError):
            await endless
    assert "BUSY" in str(ends[0])
    assert is_unavailable(ends[0])
    assert await say(producer, "b") == "b"


async def test_a_password_is_given(server: QueueServer):
    async with redis(server.url) as admin:
        await admin.config_set("requirepass", "secret")
        async with opened(producer_client(f"{server.url}?password=secret")) as client:
            await say_many(client)
        for url, error in (
            (f"{server.url}?password=wrong", "password"),
            (server.url, "Authentication required"),
        ):
            async with opened(producer_client(url)) as client:
                with pytest.raises(RedisConnectionError, match=error) as refused:
                    await client.evalsha("0" * 40, 0)
                assert is_unavailable(refused.value)
        await admin.config_set("requirepass", "")


async def test_what_a_user_may_not_do_is_an_error(server: QueueServer):
    async with redis(server.url) as admin:
        await admin.acl_setuser("narrow", enabled=True, nopass=True, commands=["+ping"])
        async with opened(producer_client(f"{server.url}?username=narrow&password=any")) as client:
            with pytest.raises(NoPermissionError):
                await client.evalsha("0" * 40, 0)


async def test_scripts_run_in_the_database_of_the_url(server: QueueServer):
    async with opened(worker_client(f"{server.url}?db=3")) as client:
        await client.register_script("return redis.call('SET', KEYS[1], 1)")(keys=["here"])
    async with redis(f"{server.url}?db=3") as there, redis(server.url) as elsewhere:
        assert await there.exists("here")
        assert not await elsewhere.exists("here")


async def test_scripts_go_over_tls(server: QueueServer, tmp_path: Path):
    certificate = make_certificate(tmp_path)
    async with tls_front(certificate, server.url.removeprefix("unix://")) as port:
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate.cert}"
        async with opened(worker_client(url)) as client:
            await say_many(client)
            large = "x" * 3_000_000
            assert await say(client, large) == large
            pid = server.pid
            signal_server(server, signal.SIGKILL)
            await wait_next_server(server, pid)
            await say_many(client)
        async with opened(producer_client(url.partition("?")[0])) as client:
            with pytest.raises(RedisConnectionError, match="certificate"):
                await say(client, "a")


async def test_answers_that_nobody_asked_for_end_the_connection(tmp_path: Path):
    """As from something else than a Redis server. Nobody is given an answer to another's command."""
    complaints: list[dict[str, object]] = []
    ended: list[None] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while received := await reader.read(65536):
            writer.write(b"+OK\r\n" * (received.count(b"*") + received.count(b"EVALSHA")))
        writer.close()
        ended.append(None)

    path = tmp_path / "babbling.sock"
    async with (
        await asyncio.start_unix_server(babble, path),
        opened(producer_client(f"unix://{path}")) as client,
    ):
        for _ in range(3):
            assert await client.evalsha("0" * 40, 0) == "OK"
            await wait_ended(client)
        await await_until(lambda: len(ended) == 3)
    assert complaints == []


async def test_a_client_that_is_closed_leaves_no_connection(server: QueueServer):
    client = producer_client(server.url)
    await say(client, "before")
    with stopped(server):
        pending = await begin(client, "a", "b")
        await client.aclose()
        ends = await asyncio.gather(*pending, return_exceptions=True)
        assert [type(end) for end in ends] == [RedisConnectionError] * 2
    await await_until(lambda: is_left_alone(server))


async def test_a_client_that_is_closed_while_it_connects_or_tries_again_leaves_no_connection(
    server: QueueServer,
):
    client = worker_client(server.url)
    connecting = asyncio.create_task(say(client, "a"))
    await loop_turn()
    await client.aclose()
    with pytest.raises(RedisError):
        await connecting
    await await_until(lambda: is_left_alone(server))

    client = worker_client(server.url)
    await say(client, "before")
    with stopped(server):
        pending = await begin(client, "a")
        await client.aclose()
    with pytest.raises(RedisError):
        await pending[0]
    await await_until(lambda: is_left_alone(server))


async def is_left_alone(server: QueueServer) -> bool:
    return await connections(server) == 0

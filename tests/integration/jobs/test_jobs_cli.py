"""``brama-supervisor jobs`` as a process: through a master's control socket, and on the files themselves."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from brama.exit_codes import ExitCode
from jobs.policy.verdict import Cause
from jobs.storage.dead_letters import DeadLetter
from tests.integration.jobs import handlers
from tests.integration.jobs.handlers import Work
from tests.integration.jobs.processes import ROOT, House, house, worker
from tests.integration.jobs.stage import QUEUE, new_job

COMMAND = Path(sys.executable).parent / "brama-supervisor"
LETTER = DeadLetter(
    QUEUE,
    "a",
    3,
    "REPORT",
    Cause.ERROR,
    "ValueError: no \x1b]0;title",
    "stack",
    {"secret": "p4yload"},
    1.5,
    2.5,
)
Cli = Callable[..., Awaitable[tuple[int, str, str]]]


async def call(at: House, *arguments: object, url: str | None = None) -> tuple[int, str, str]:
    """Run the command for the configuration of ``at``; ``url`` names its server."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("REDIS_", "BRAMA_"))
    }
    environment |= {"REDIS_URL": url} if url else {}
    process = await asyncio.create_subprocess_exec(
        COMMAND, *map(str, arguments),
        cwd=at.state_dir.parent, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def at(server, tmp_path) -> AsyncIterator[House]:
    """A project without bots; its server runs elsewhere, as an external one does."""
    state_dir = tmp_path / "project" / "state"
    state_dir.mkdir(parents=True, mode=0o700)
    (state_dir.parent / "brama.yaml").write_text("bots: []\n")
    async with house(state_dir, server) as opened:
        yield opened


@pytest.fixture(params=["through a master", "without one"])
async def cli(request, at: House) -> AsyncIterator[Cli]:
    """The command; what it says must not depend on who carries it out."""

    async def run(*arguments: object) -> tuple[int, str, str]:
        return await call(at, "jobs", *arguments, url=url)

    url = None if request.param == "through a master" else at.server.url
    if url is not None:
        yield run
        return
    master = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.jobs.job_master", at.state_dir,
        cwd=ROOT, env=os.environ | {"REDIS_URL": at.server.url}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert master.stdout is not None
        assert await master.stdout.readline() == b"serving\n"
        yield run
    finally:
        master.kill()
        await master.communicate()


async def bury(at: House, *job_ids: str, **more) -> list[int]:
    for job_id in job_ids:
        await at.letters.record(replace(LETTER, job_id=job_id, **more))
    return [letter.letter_id for letter in reversed(await at.letters.page(limit=len(job_ids)))]


async def test_dead_letters_are_listed_without_and_shown_with_their_payload(cli: Cli, at: House):
    (letter,) = await bury(at, "a")
    await bury(at, "b", queue="other", cause=Cause.TIMEOUT)
    code, out, err = await cli("list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["id", "queue", "type", "job", "gave", "up", "cause", "attempts", "error"]
    assert lines[2].split()[:4] == [str(letter), QUEUE, "REPORT", "a"]
    assert "\\x1b]0;title" in lines[2]
    assert "p4yload" not in out
    code, out, _ = await cli("list", "--cause", "timeout", "--json")
    assert code == 0
    (listed,) = json.loads(out)
    assert (listed["queue"], listed["cause"], listed["resolved_utc"]) == ("other", "timeout", None)
    assert "payload" not in listed
    code, out, err = await cli("show", letter)
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == [f"id        {letter}", f"queue     {QUEUE}", "type      REPORT"]
    assert '"secret": "p4yload"' in out
    assert out.count("stack") == 2
    assert json.loads((await cli("show", letter, "--json"))[1])["payload"] == {"secret": "p4yload"}


async def test_a_job_that_died_is_retried_resolved_and_cleaned(cli: Cli, at: House):
    opened = at.state_dir / "gate"
    work = Work(journal=at.journal, text="until", gate=opened)
    async with worker(at):
        ids = [await at.producer.enqueue(handlers.fail, work) for _ in range(2)]
        for job_id in ids:
            await at.wait_state("FAIL", job_id, "failed")
        by_job = {letter.job_id: letter.letter_id for letter in await at.letters.page()}
        opened.touch()
        assert await cli("retry", by_job[ids[0]]) == (0, "retried 1\n", "")
        await at.wait_state("FAIL", ids[0], "completed")
        assert await cli("retry", "--all", "--queue", "other") == (0, "retried 0\n", "")
        assert await cli("retry", "--all", "--queue", "FAIL") == (0, "retried 1\n", "")
        await at.wait_state("FAIL", ids[1], "completed")
        code, out, _ = await cli("show", "FAIL", ids[1])
        assert code == 0
        assert "state     completed" in out
        assert '"said": "now"' in out
    again = by_job[ids[0]]
    code, out, err = await cli("retry", again, by_job[ids[1]])
    assert (code, out) == (ExitCode.FAILED, "retried 0\n")
    assert err.splitlines() == [
        f"brama-supervisor: letter {letter}: job {job} is completed, there is nothing to retry"
        for job, letter in sorted(by_job.items(), key=lambda each: each[1])
    ]
    assert (await cli("resolve", again, "--note", "twice"))[0] == ExitCode.FAILED
    (third,) = await bury(at, "c")
    assert await cli("resolve", third, "--note", "sent by hand") == (0, "resolved 1\n", "")
    code, out, _ = await cli("list", "--resolved")
    assert "sent by hand" in out
    assert await cli("list") == (0, "no dead letters\n", "")
    assert await cli("clean") == (0, "cleaned 0\n", "")
    assert await cli("clean", "--older-than", "0s") == (0, "cleaned 3\n", "")
    assert await cli("list", "--resolved") == (0, "no dead letters\n", "")


async def test_many_letters_are_retried_in_batches(cli: Cli, at: House):
    await bury(at, *(f"j{number}" for number in range(230)))
    assert await cli("retry", "--all") == (0, "retried 230\n", "")
    assert (await at.queue.counts(QUEUE))["waiting"] == 230
    assert await at.letters.count_open() == 0


async def test_queues_are_shown_paused_and_resumed(cli: Cli, at: House):
    await at.queue.add(new_job("a"))
    assert await cli("pause", QUEUE) == (0, f"{QUEUE}: paused\n", "")
    code, out, _ = await cli("queues")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith(QUEUE)]
    assert line.split() == [QUEUE, "1", "0", "0", "0", "0", "0", "0", "paused"]
    (shown,) = [each for each in json.loads((await cli("queues", "--json"))[1]) if each["name"] == QUEUE]
    assert shown["paused"] is True
    assert f"{QUEUE}: resumed\n" in (await cli("resume", "--all"))[1]
    assert not await at.queue.is_paused(QUEUE)
    code, out, err = await cli("pause", "reprots")
    assert (code, out) == (ExitCode.FAILED, "")
    assert 'no queue is named "reprots"; there are ' in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "word"),
        ("show", "1", "2", "3"),
        ("retry",),
        ("retry", str(1 << 70)),
        ("retry", "0"),
        ("retry", "1", "--all"),
        ("retry", "1", "--queue", "q"),
        ("resolve", "1"),
        ("resolve", "1", "--note", " "),
        ("clean", "--older-than", "soon"),
        ("pause",),
        ("pause", "q", "--all"),
    ],
)
async def test_a_command_that_makes_no_sense_is_a_usage_error(at: House, arguments: tuple[str, ...]):
    code, out, err = await call(at, "jobs", *arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.count("\n") == 1


async def test_what_does_not_exist_is_said_in_one_line(cli: Cli, at: House):
    for arguments, said in (
        (("show", "99"), "there is no dead letter 99"),
        (("show", QUEUE, "none"), f"queue {QUEUE} has no job none, or keeps it no longer"),
        (("retry", "99"), "there is no dead letter 99; nothing was done"),
        (("list", "--cause", "typo"), 'no letter has the cause "typo"; causes are '),
    ):
        code, out, err = await cli(*arguments)
        assert (code, out) == (ExitCode.FAILED, ""), arguments
        assert err.startswith(f"brama-supervisor: {said}"), arguments
        assert err.count("\n") == 1


async def test_without_a_server_the_table_is_still_at_hand(at: House):
    (letter,) = await bury(at, "a")
    address = f"redis://:{'s3cret'}@127.0.0.1:1"
    assert "REPORT" in (await call(at, "jobs", "list", url=address))[1]
    assert (await call(at, "jobs", "show", letter, url=address))[0] == 0
    for arguments in (("queues",), ("retry", letter), ("pause", QUEUE), ("clean", "--older-than", "0s")):
        if arguments[0] == "clean":
            await call(at, "jobs", "resolve", letter, "--note", "by hand", url=address)
        code, out, err = await call(at, "jobs", *arguments, url=address)
        assert (code, out) == (ExitCode.FAILED, ""), arguments
        assert "this needs the queue's server, and redis://127.0.0.1:1 does not answer" in err
        assert "s3cret" not in err
        assert err.count("\n") == 1


async def test_the_server_is_that_of_the_file_unless_the_environment_names_one(at: House):
    config = at.state_dir.parent / "brama.yaml"
    (at.state_dir.parent / ".env").write_text(f"QUEUE={at.server.url.removeprefix('unix://')}\n")
    config.write_text("redis: {url: 'unix://${QUEUE}'}\nbots:\n  - {id: shop, token: '${NOT_SET}'}\n")
    await at.queue.add(new_job("a"))
    code, out, _ = await call(at, "jobs", "queues")
    assert code == 0
    assert QUEUE in out
    assert (await call(at, "jobs", "queues", url="redis://127.0.0.1:1"))[0] == ExitCode.FAILED
    config.write_text("redis: {url: '${NOT_SET}'}\n")
    assert (await call(at, "jobs", "queues"))[0] == ExitCode.CONFIG
    config.write_text("bots: []\n")
    assert "queue/redis.sock does not answer" in (await call(at, "jobs", "queues"))[2]


async def test_workers_without_a_configuration_are_named_by_their_folder(at: House):
    await bury(at, "a")
    (at.state_dir.parent / "brama.yaml").unlink()
    code, out, _ = await call(at, "jobs", "list", "--state-dir", "state", "--json")
    assert (code, len(json.loads(out))) == (0, 1)
    code, _, err = await call(at, "jobs", "list")
    assert code == ExitCode.CONFIG
    code, _, err = await call(at, "jobs", "list", "--state-dir", "typo")
    assert code == ExitCode.FAILED
    assert "typo/jobs.db is not there: no jobs have been enqueued or run with this state_dir" in err
    assert not (at.state_dir.parent / "typo").exists()

"""The next master is tried out: programs that answer, fail, keep silent, hang."""

import asyncio
import os
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec
import pytest

from brama.errors import BramaError, ConfigError
from brama.exit_codes import ExitCode
from brama.ids import BotId
from brama.messages import PROTOCOL_VERSION
from supervisor.handover import trial
from supervisor.handover.records import FORMAT, Proof
from supervisor.handover.restarter import Restarter, ended_by
from supervisor.handover.trial import prove
from tests.integration.fleet.stage import lives
from tests.integration.handover.test_program import handover
from tests.unit.handover.test_records import BOT, FULL
from tests.waiting import await_until

DRAFT = handover(-1, -1, -1)
PROOF = Proof("2.0", FORMAT, PROTOCOL_VERSION, {"shop": 1001})
ANSWER = f"echo '{msgspec.json.encode(PROOF).decode()}'"
Write = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path) -> Write:
    """Return a function that writes a program of these lines."""
    path = tmp_path / "brama-supervisor"

    def write(*lines: str) -> Path:
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return path

    return write


async def failure(program: Path) -> str:
    with pytest.raises(BramaError) as failed:
        await prove(program, DRAFT)
    assert "\n" not in str(failed.value)
    return str(failed.value)


async def test_it_is_asked_for_its_proof_and_handed_the_draft(program: Write, tmp_path: Path):
    path = program(f'echo "$@" > {tmp_path}/arguments', f"cat > {tmp_path}/draft", ANSWER)
    assert await prove(path, FULL) == PROOF
    assert (tmp_path / "arguments").read_text() == "prove\n"
    assert msgspec.msgpack.decode((tmp_path / "draft").read_bytes())["config"] == FULL.config


async def test_what_it_logs_is_no_answer(program: Write):
    assert await prove(program("echo a warning >&2", ANSWER, "echo another >&2"), DRAFT) == PROOF


async def test_what_it_does_not_read_is_no_fault(program: Write):
    large = msgspec.structs.replace(FULL, noted=[(bytes(32), 0.0)] * 20_000)
    assert await prove(program("exec <&-", ANSWER), large) == PROOF


async def test_one_that_cannot_be_executed(program: Write, tmp_path: Path):
    path = program(ANSWER)
    path.chmod(0o644)
    expected = f"{path} cannot be executed: Permission denied; install it again"
    assert await failure(path) == expected
    gone = tmp_path / "gone"
    assert await failure(gone) == f"{gone} cannot be executed: No such file or directory; install it again"
    path.write_text("#!/nowhere/python\n")
    path.chmod(0o755)
    assert await failure(path) == f"{path} cannot be executed: No such file or directory; install it again"


async def test_one_that_is_silent(program: Write):
    assert (await failure(path := program("exit 0"))) == f"{path} is no brama-supervisor that can take over"
    assert (await failure(program("exit 1"))) == f"{path} cannot take over (exit code 1): it said nothing"
    assert (await failure(program("kill -9 $$"))) == f"{path} cannot take over (signal 9): it said nothing"


async def test_one_that_says_why(program: Write):
    path = program("echo Traceback >&2", "echo 'ImportError: no module named x' >&2", "echo >&2", "exit 1")
    assert await failure(path) == f"{path} cannot take over (exit code 1): ImportError: no module named x"
    path = program("echo 'brama-supervisor: the disk is full' >&2", "echo bye >&2", "exit 1")
    assert await failure(path) == f"{path} cannot take over (exit code 1): the disk is full"


async def test_a_token_in_what_it_says_is_not_repeated(program: Write):
    token = "123456789:AA" + "x" * 33
    assert token not in await failure(program(f"echo 'no bot {token}' >&2", "exit 1"))


async def test_a_wrong_configuration_is_told_in_full(program: Write):
    lines = [f"echo 'brama-supervisor: brama.yaml:{line}: is wrong' >&2" for line in range(30)]
    with pytest.raises(ConfigError) as wrong:
        await prove(program("echo noise >&2", *lines, f"exit {ExitCode.CONFIG.value}"), DRAFT)
    assert str(wrong.value).splitlines() == [f"brama.yaml:{line}: is wrong" for line in range(20)]


async def test_one_that_hangs_is_killed(program: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trial, "LIMIT_S", 0.2)
    path = program(f"echo $$ > {tmp_path}/pid", "exec sleep 600")
    assert await failure(path) == f"{path} was not through with its trial after 0.2 s"
    pid = int((tmp_path / "pid").read_text())
    assert not os.path.exists(f"/proc/{pid}"), "killed, and reaped"


async def test_it_is_killed_when_nobody_waits_any_more(program: Write, tmp_path: Path):
    trying = asyncio.ensure_future(
        prove(program(f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid", "exec sleep 600"), DRAFT)
    )
    await await_until((tmp_path / "pid").exists)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert not lives(int((tmp_path / "pid").read_text()))


# --- the restarter --------------------------------------------------------------------------------


class Stage:
    """A restarter, and what it asks of the master around it."""

    def __init__(self, program: Path) -> None:
        self.retired: list[list[BotId]] = []
        self.stalled: str | None = None
        self.is_stopping = False
        self.handed_over = 0
        self.requested = asyncio.Event()
        self.draft = FULL
        self.may_retire = asyncio.Event()
        self.may_retire.set()
        self.restarter = Restarter(
            program, lambda: self.draft, lambda: self.stalled, self, self.hand_over, self.requested
        )

    async def retire(self, bot_ids: Collection[BotId]) -> None:
        self.retired.append(list(bot_ids))
        await self.may_retire.wait()

    def hand_over(self) -> bool:
        self.handed_over += not self.is_stopping
        return not self.is_stopping


def counting(program: Write, folder: Path, *lines: str) -> Path:
    """Return a program that counts its trials."""
    return program(f"echo x >> {folder}/trials", *lines)


def trials(folder: Path) -> int:
    return len((folder / "trials").read_text().splitlines())


async def test_two_requests_at_once_are_one(program: Write, tmp_path: Path):
    stage = Stage(counting(program, tmp_path, ANSWER))
    proofs = await asyncio.gather(stage.restarter.restart(), stage.restarter.restart())
    assert set(map(msgspec.json.encode, proofs)) == {msgspec.json.encode(PROOF)}
    assert (trials(tmp_path), stage.handed_over) == (1, 1)


async def test_a_request_that_comes_while_the_master_is_replaced_holds_nothing_up(
    program: Write, tmp_path: Path
):
    """What is executed is what is there at the end: another trial would only keep the bots waiting."""
    stage = Stage(counting(program, tmp_path, ANSWER))
    await stage.restarter.restart()
    assert await stage.restarter.restart() == PROOF
    assert trials(tmp_path) == 1


async def test_who_asked_does_not_wait_for_bots_that_finish_what_they_have_begun(program: Write):
    """They may take longer than any request."""
    stage = Stage(program(f"echo '{msgspec.json.encode(msgspec.structs.replace(PROOF, bots={})).decode()}'"))
    stage.may_retire.clear()
    async with asyncio.timeout(20):
        await stage.restarter.restart()
    assert (stage.restarter.retiring, stage.handed_over) == (("shop",), 0)
    stage.may_retire.set()
    await await_until(lambda: stage.handed_over)


async def test_what_fails_after_that_is_told_by_the_status(program: Write):
    stage = Stage(program(f"echo '{msgspec.json.encode(msgspec.structs.replace(PROOF, bots={})).decode()}'"))
    stage.may_retire.clear()
    await stage.restarter.restart()
    stage.is_stopping = True
    stage.may_retire.set()
    await await_until(lambda: stage.restarter.failure == "the master is stopping")


async def test_after_a_failure_it_is_tried_again(program: Write, tmp_path: Path):
    stage = Stage(counting(program, tmp_path, "exit 1"))
    for attempt in (1, 2):
        with pytest.raises(BramaError):
            await stage.restarter.restart()
        assert trials(tmp_path) == attempt
        assert "it said nothing" in (stage.restarter.failure or "")
    counting(program, tmp_path, ANSWER)
    await stage.restarter.restart()
    assert (stage.restarter.failure, stage.handed_over) == (None, 1)


async def test_another_format_and_a_full_disk_are_refusals(program: Write):
    other = msgspec.structs.replace(PROOF, format=FORMAT + 1)
    stage = Stage(program(f"echo '{msgspec.json.encode(other).decode()}'"))
    with pytest.raises(BramaError, match="reads another handover"):
        await stage.restarter.restart()
    stage.stalled = "the disk is full"
    with pytest.raises(BramaError, match="no hot restart while updates cannot be written: the disk is full"):
        await stage.restarter.restart()
    assert (stage.retired, stage.handed_over) == ([], 0)


async def test_a_master_that_stops_is_not_replaced(program: Write):
    stage = Stage(program(ANSWER))
    stage.is_stopping = True
    with pytest.raises(BramaError, match="the master is stopping"):
        await stage.restarter.restart()


async def test_closing_ends_a_trial(program: Write, tmp_path: Path):
    stage = Stage(program(f"touch {tmp_path}/begun", "exec sleep 600"))
    asking = asyncio.ensure_future(stage.restarter.restart())
    await await_until((tmp_path / "begun").exists)
    await stage.restarter.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await stage.restarter.aclose()


async def test_requests_by_signal_go_on_after_a_failure(program: Write, tmp_path: Path):
    stage = Stage(counting(program, tmp_path, "exit 1"))
    serving = asyncio.ensure_future(stage.restarter.serve_requests())
    try:
        stage.requested.set()
        await await_until(lambda: stage.restarter.failure)
        counting(program, tmp_path, ANSWER)
        stage.requested.set()
        await await_until(lambda: stage.handed_over)
    finally:
        serving.cancel()


def test_bots_of_other_speech_or_of_nobody_are_ended():
    bots = [BOT, msgspec.structs.replace(BOT, bot_id="news", telegram_id=1002)]
    assert ended_by(Proof("2", FORMAT, PROTOCOL_VERSION, {"shop": 1001, "news": 1002}), bots) == []
    assert ended_by(Proof("2", FORMAT, PROTOCOL_VERSION, {"shop": 1001}), bots) == ["news"]
    assert ended_by(Proof("2", FORMAT, PROTOCOL_VERSION, {"shop": 9, "news": 1002}), bots) == ["shop"]
    both = Proof("2", FORMAT, PROTOCOL_VERSION + 1, {"shop": 1001, "news": 1002})
    assert ended_by(both, bots) == ["shop", "news"]

"""The master's end of a pipe never blocks, loses nothing, and says when it is of no more use."""

import asyncio
import multiprocessing
import os

import pytest

from brama.frames import FrameReader, encode_frame
from brama.messages import Deliver, Hello, decode_to_worker, encode_messages
from supervisor.fleet.worker_link import WorkerLink
from tests.waiting import await_until, loop_turn


class Ends:
    """A link, what came through it, and the worker's end."""

    def __init__(self) -> None:
        pipe, self.theirs = multiprocessing.Pipe()
        os.set_blocking(self.theirs.fileno(), False)
        self.messages: list = []
        self.broken: list[str] = []
        self.link = WorkerLink(asyncio.get_running_loop(), pipe, self.messages.append, self.broken.append)

    def write(self, data: bytes) -> None:
        assert os.write(self.theirs.fileno(), data) == len(data)

    def say(self, *pids: int) -> None:
        self.write(encode_frame(encode_messages([Hello(1, pid, 1) for pid in pids])))


@pytest.fixture
async def ends():
    ends = Ends()
    yield ends
    ends.link.close()
    ends.theirs.close()


def pids(ends: Ends) -> list[int]:
    return [message.pid for message in ends.messages]


async def test_a_reader_that_stands_still_blocks_nobody_and_misses_nothing(ends):
    updates = [Deliver(seq, seq, bytes([seq % 256]) * 50_000) for seq in range(200)]
    for update in updates:
        ends.link.send([update])
    await loop_turn()
    assert ends.link.queued_bytes > 9_000_000
    got: list = []
    frames = FrameReader()
    while len(got) < 200:
        try:
            chunk = os.read(ends.theirs.fileno(), 1_000_000)
        except BlockingIOError:
            await loop_turn()
            continue
        for body in frames.feed(chunk):
            got += decode_to_worker(body)
    assert got == updates
    await await_until(lambda: ends.link.queued_bytes == 0)


async def test_one_large_message_passes(ends):
    large = Deliver(1, 1, os.urandom(10_000_000))
    ends.link.send([large])
    frames, got = FrameReader(), list[object]()
    while not got:
        try:
            chunk = os.read(ends.theirs.fileno(), 1_000_000)
        except BlockingIOError:
            await loop_turn()
            continue
        for body in frames.feed(chunk):
            got += decode_to_worker(body)
    assert got == [large]


async def test_what_a_dead_worker_left_in_the_pipe_is_heard_though_a_grandchild_holds_it(ends):
    held = os.dup(ends.theirs.fileno())
    ends.say(1, 2)
    ends.say(3)
    ends.theirs.close()
    ends.link.close()
    os.close(held)
    assert pids(ends) == [1, 2, 3]
    assert ends.broken == []


async def test_a_torn_frame_at_the_end_is_no_message_and_no_error(ends):
    ends.say(1)
    ends.write(b"\0\0\1\0half")
    ends.link.close()
    assert pids(ends) == [1]


async def test_catching_up_needs_no_turn_of_the_loop(ends):
    ends.say(1)
    ends.link.read_now()
    assert pids(ends) == [1]


async def test_a_closed_end_is_said_once_after_what_came_before(ends):
    ends.say(1)
    ends.theirs.close()
    await await_until(lambda: ends.broken)
    assert pids(ends) == [1]
    assert ends.broken == ["closed its pipe to the supervisor"]
    ends.link.send([Deliver(1, 1, b"{}")])
    await loop_turn()


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", encode_frame(b"nonsense")])
async def test_nonsense_ends_the_conversation(ends, nonsense):
    ends.write(nonsense)
    await await_until(lambda: ends.broken)
    assert ends.broken[0].startswith("wrote nonsense into its pipe")


async def test_a_closed_link_takes_nothing_more(ends):
    ends.link.close()
    ends.link.send([Deliver(1, 1, b"{}")])
    ends.link.close()
    assert ends.link.queued_bytes == 0

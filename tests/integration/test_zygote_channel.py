"""The worker's end of the pipe, on asyncio's loop and on uvloop's."""

import asyncio
import os
import select
import socket
from collections.abc import Callable, Iterator

import pytest
import uvloop

from bot_worker.channel import Channel
from brama.frames import FrameReader, encode_frame
from brama.messages import (
    Begun,
    Deliver,
    Drain,
    FromWorker,
    Hello,
    Notice,
    Processed,
    ReopenLog,
    ToWorker,
    decode_from_worker,
    encode_messages,
)
from tests.waiting import await_until, loop_turn

NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Pipe:
    """Both ends: the channel under test, and the master's plain socket."""

    def __init__(self) -> None:
        self.master, self._worker = socket.socketpair()
        self.master.setblocking(False)
        self.ended: list[int] = []
        self.reopened = 0
        self.channel = Channel(self._worker.fileno(), reopen_log=self._reopen, end_process=self.ended.append)
        self.frames = FrameReader()

    def _reopen(self) -> None:
        self.reopened += 1

    def say(self, *messages: ToWorker) -> None:
        """Send one frame to the worker, which must fit into the pipe."""
        self.master.sendall(encode_frame(encode_messages(messages)))

    def heard(self) -> list[list[FromWorker]]:
        """Return the messages of each frame that has come."""
        found = []
        try:
            while chunk := self.master.recv(1 << 20):
                found += [decode_from_worker(body) for body in self.frames.feed(chunk)]
        except BlockingIOError:
            pass
        return found

    def close(self) -> None:
        """Close both ends."""
        self.master.close()
        self._worker.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A fresh pipe."""
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    """What makes the kind of loop that is tested."""
    return request.param  # type: ignore[no-any-return]


def _run(new_loop: NewLoop, main: Callable[[], object]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())  # type: ignore[arg-type]


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


# --- without a loop -----------------------------------------------------------------------------------


def test_first_message_is_waited_for_and_the_others_are_kept(pipe, new_loop):
    assert pipe.channel.take_first(0.0) is None
    pipe.say(Drain(), Deliver(1, 1, b"{}"))
    pipe.say(Deliver(2, 2, b"{}"))
    assert pipe.channel.take_first(10.0) == Drain()
    got: list[ToWorker] = []

    async def main() -> None:
        pipe.channel.attach(_loop(), got.extend)
        await await_until(lambda: len(got) == 2)
        pipe.channel.detach()

    _run(new_loop, main)
    assert got == [Deliver(1, 1, b"{}"), Deliver(2, 2, b"{}")]


def test_a_message_that_comes_in_pieces_is_waited_for(pipe):
    frame = encode_frame(encode_messages([Deliver(1, 1, b"x" * 50)]))
    pipe.master.sendall(frame[:3])
    assert pipe.channel.take_first(0.0) is None
    pipe.master.sendall(frame[3:20])
    assert pipe.channel.take_first(0.0) is None
    pipe.master.sendall(frame[20:])
    assert pipe.channel.take_first(10.0) == Deliver(1, 1, b"x" * 50)


def test_without_a_loop_messages_are_written_at_once(pipe):
    pipe.channel.send(Begun([1]))
    assert pipe.heard() == [[Begun([1])]]
    assert pipe.channel.send_now([Hello(1, 2, 3), Begun([2])])
    assert pipe.heard() == [[Hello(1, 2, 3), Begun([2])]]


def test_a_master_that_does_not_read_is_waited_for_no_longer_than_said(pipe):
    assert not pipe.channel.send_now([Notice("big", "x" * 3_000_000)], timeout_s=0.01)
    assert not pipe.channel.flush(0.0)
    frames: list[list[FromWorker]] = []
    while not pipe.channel.flush(0.0):
        frames += pipe.heard()
    frames += pipe.heard()
    assert frames == [[Notice("big", "x" * 3_000_000)]]


@pytest.mark.parametrize(
    "act", [lambda channel: channel.take_first(10.0), lambda channel: channel.send(Begun([1]))]
)
def test_a_master_that_is_gone_ends_the_process(pipe, act):
    def end(code: int) -> None:
        raise SystemExit(code)

    channel = Channel(pipe.channel._fd, end_process=end)
    pipe.master.close()
    with pytest.raises(SystemExit) as ended:
        act(channel)
    assert ended.value.code == 69


# --- in a loop ----------------------------------------------------------------------------------------


def test_messages_of_one_turn_travel_in_one_frame(pipe, new_loop):
    async def main() -> None:
        pipe.channel.attach(_loop(), lambda _: None)
        for seq in range(3):
            pipe.channel.send(Begun([seq]))
        assert pipe.heard() == []
        await loop_turn()
        assert pipe.heard() == [[Begun([0]), Begun([1]), Begun([2])]]
        pipe.channel.send(Begun([3]))
        await loop_turn()
        assert pipe.heard() == [[Begun([3])]]
        pipe.channel.detach()

    _run(new_loop, main)


def test_what_is_pushed_is_in_the_pipe_when_the_call_returns(pipe, new_loop):
    async def main() -> None:
        pipe.channel.attach(_loop(), lambda _: None)
        pipe.channel.send(Processed([1]))
        pipe.channel.send(Begun([2]))
        pipe.channel.push()
        assert pipe.heard() == [[Processed([1]), Begun([2])]]
        await loop_turn()
        assert pipe.heard() == []
        pipe.channel.detach()

    _run(new_loop, main)


def test_a_full_pipe_blocks_nothing_and_keeps_the_order(pipe, new_loop):
    async def main() -> None:
        pipe.channel.attach(_loop(), lambda _: None)
        for seq in range(200):
            pipe.channel.send(Notice(str(seq), "x" * 50_000))
            await loop_turn()
        got: list[FromWorker] = []

        def all_here() -> bool:
            for frame in pipe.heard():
                got.extend(frame)
            return len(got) == 200

        await await_until(all_here)
        assert [each.code for each in got if isinstance(each, Notice)] == [str(seq) for seq in range(200)]
        assert pipe.channel.flush(0.0)
        pipe.channel.detach()

    _run(new_loop, main)


def test_a_large_update_and_many_small_ones_arrive_in_order(pipe, new_loop):
    sent: list[ToWorker] = [Deliver(0, 0, b"x" * 10_000_000), *(Deliver(n, n, b"{}") for n in range(1, 500))]
    data = b"".join(encode_frame(encode_messages([message])) for message in sent)
    got: list[ToWorker] = []

    async def main() -> None:
        pipe.channel.attach(_loop(), got.extend)
        await _loop().sock_sendall(pipe.master, data)
        await await_until(lambda: len(got) == len(sent))
        pipe.channel.detach()

    _run(new_loop, main)
    assert got == sent


def test_reopening_the_log_is_the_channels_own_business(pipe, new_loop):
    got: list[ToWorker] = []

    async def main() -> None:
        pipe.channel.attach(_loop(), got.extend)
        pipe.say(ReopenLog(), Drain())
        await await_until(lambda: got)
        pipe.channel.detach()

    _run(new_loop, main)
    assert got == [Drain()]
    assert pipe.reopened == 1


def test_loops_may_follow_each_other_without_a_word(pipe, new_loop):
    got: list[ToWorker] = []

    async def first() -> None:
        pipe.channel.attach(_loop(), got.extend)
        pipe.say(Deliver(1, 1, b"{}"))
        await await_until(lambda: len(got) == 1)
        pipe.channel.send(Processed([1]))  # the loop ends before the turn does

    async def second() -> None:
        pipe.channel.attach(_loop(), got.extend)
        await await_until(lambda: len(got) == 2)
        pipe.channel.send(Processed([2]))
        await loop_turn()
        pipe.channel.detach()

    _run(new_loop, first)
    pipe.say(Deliver(2, 2, b"{}"))
    assert len(got) == 1
    _run(new_loop, second)
    heard = [message for frame in pipe.heard() for message in frame]
    assert heard == [Processed([1]), Processed([2])]


def test_a_master_that_closes_ends_the_process_in_the_loop(pipe, new_loop):
    async def main() -> None:
        pipe.channel.attach(_loop(), lambda _: None)
        pipe.master.close()
        await await_until(lambda: pipe.ended)
        pipe.channel.detach()

    _run(new_loop, main)
    assert set(pipe.ended) == {69}


def test_a_torn_stream_ends_the_process_with_one_line(pipe, new_loop, capsys):
    async def main() -> None:
        pipe.channel.attach(_loop(), lambda _: None)
        pipe.master.sendall(b"\xff\xff\xff\xff")
        await await_until(lambda: pipe.ended)
        pipe.channel.detach()

    _run(new_loop, main)
    assert pipe.ended[0] == 1
    assert capsys.readouterr().err.startswith("brama: a frame of 4294967295 bytes is over the limit")


def test_the_pipe_is_not_inherited_and_does_not_block(pipe):
    assert not os.get_blocking(pipe.channel._fd)
    assert not select.select([pipe.channel._fd], [], [], 0)[0]

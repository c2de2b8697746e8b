"""Jobs added and worked off a second, beside Node's BullMQ on the same server."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from redis.asyncio import Redis

from benchmarks.jobs_handlers import parcel
from benchmarks.peers.jobs_base import JobPeer, Load
from benchmarks.peers.node_bullmq import NodeBullMq, NoNodeError, install
from benchmarks.peers.our_jobs import OurJobs
from benchmarks.processes import cpu_s, tree
from benchmarks.report import say, table
from brama.clock import monotonic_s
from jobs.engine.programs import find_program
from jobs.engine.server import QueueServer

JOBS = 20_000
AT_ONCE = 32
TEXT_BYTES = 200
ROUNDS = 3
PROCESSES = (1, 2)
_LOOK_S = 0.01
_KEY = f"bull:{parcel.queue}"

Process = asyncio.subprocess.Process


@dataclass(frozen=True, slots=True)
class _Pace:
    """What was measured once: jobs a second, and CPU time for each job over all processes."""

    rate: float
    cpu_us: float


class _Bench:
    """One server, emptied before each measurement."""

    def __init__(self, server: QueueServer, state_dir: Path) -> None:
        self._client = Redis.from_url(server.url, decode_responses=True)
        socket = Path(server.url.removeprefix("unix://"))
        self._load = Load(socket, state_dir, parcel.queue, JOBS, AT_ONCE, "x" * TEXT_BYTES)

    async def measure(self, peer: JobPeer, processes: int) -> tuple[_Pace, _Pace]:
        """Return how fast ``processes`` of each kind add jobs and work them off."""
        await self._client.flushall()
        return await self._add(peer, processes), await self._work_off(peer, processes)

    async def close(self) -> None:
        """Let go of the server."""
        await self._client.aclose()

    async def _add(self, peer: JobPeer, processes: int) -> _Pace:
        command = peer.adding(replace(self._load, count=JOBS // processes))
        async with AsyncExitStack() as stack:
            adding = [await stack.enter_async_context(_running(command)) for _ in range(processes)]
            await asyncio.gather(*map(_next_line, adding))

            async def add_all() -> None:
                for process in adding:
                    assert process.stdin is not None
                    process.stdin.write(b"\n")
                await asyncio.gather(*map(_next_line, adding))

            pace = await _pace(adding, add_all)
        if (waiting := await self._client.llen(f"{_KEY}:wait")) != JOBS:
            raise RuntimeError(f"{peer.name} added {waiting} jobs of {JOBS}")
        return pace

    async def _work_off(self, peer: JobPeer, processes: int) -> _Pace:
        """Start the workers on a paused queue, and measure from its release on."""
        await self._client.hset(f"{_KEY}:meta", "paused", 1)
        await self._client.delete(f"{_KEY}:marker")
        command = peer.working(self._load)
        async with AsyncExitStack() as stack:
            working = [await stack.enter_async_context(_running(command)) for _ in range(processes)]

            async def all_wait() -> bool:
                return bool((await self._client.info("clients"))["blocked_clients"] >= processes)

            async def all_is_done() -> bool:
                counts = [await self._client.llen(f"{_KEY}:{state}") for state in ("wait", "active")]
                return not any(counts)

            async def work_off() -> None:
                await self._client.hdel(f"{_KEY}:meta", "paused")
                await self._client.zadd(f"{_KEY}:marker", {"0": 0})
                await _poll(all_is_done)

            await _poll(all_wait)
            return await _pace(working, work_off)


@asynccontextmanager
async def _running(command: Sequence[str]) -> AsyncIterator[Process]:
    """Run a process until the block ends."""
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _next_line(process: Process) -> None:
    assert process.stdout is not None
    if not await process.stdout.readline():
        raise RuntimeError("a process of the benchmark has ended")


async def _poll(is_so: Callable[[], Awaitable[bool]]) -> None:
    while not await is_so():  # noqa: ASYNC110 - it is in another process
        await asyncio.sleep(_LOOK_S)


async def _pace(processes: Sequence[Process], work: Callable[[], Awaitable[None]]) -> _Pace:
    """Return how fast ``processes`` got through all jobs during ``work``."""
    measured = tree([process.pid for process in processes])
    cpu_before_s, began_at = cpu_s(measured), monotonic_s()
    await work()
    took_s = monotonic_s() - began_at
    return _Pace(JOBS / took_s, (cpu_s(measured) - cpu_before_s) / JOBS * 1e6)


def compare() -> None:
    """Measure ours and Node's in turns with one and two processes, and print the table."""
    with tempfile.TemporaryDirectory(prefix="bench-jobs-") as name:
        peers: list[JobPeer] = [OurJobs()]
        try:
            peers.append(NodeBullMq(Path(name) / "node", install()))
        except NoNodeError as error:
            say(f"Node BullMQ is left out: {error}")
        say(_report(peers, asyncio.run(_measure_all(peers, Path(name) / "state"))))


_Paces = dict[tuple[str, int], list[tuple[_Pace, _Pace]]]


async def _measure_all(peers: list[JobPeer], state_dir: Path) -> _Paces:
    server = QueueServer(find_program(), state_dir)
    await server.start()
    bench = _Bench(server, state_dir)
    paces: _Paces = {(peer.name, processes): [] for processes in PROCESSES for peer in peers}
    try:
        for number in range(ROUNDS):
            say(f"measuring jobs, round {number + 1} of {ROUNDS} ...")
            for processes in PROCESSES:
                for peer in peers:
                    paces[peer.name, processes].append(await bench.measure(peer, processes))
    finally:
        await bench.close()
        await server.stop()
    return paces


def _report(peers: list[JobPeer], paces: _Paces) -> str:
    rows = []
    for processes in PROCESSES:
        theirs = paces.get((NodeBullMq.name, processes))
        for peer in peers:
            row = [f"{peer.name}, {processes} {'process' if processes == 1 else 'processes'}"]
            for kind in (0, 1):
                ours = [pair[kind] for pair in paces[peer.name, processes]]
                rate = median(pace.rate for pace in ours)
                to_node = rate / median(pair[kind].rate for pair in theirs) if theirs else None
                row += [
                    f"{rate:.0f}",
                    f"{to_node:.2f}" if to_node else "-",
                    f"{median(pace.cpu_us for pace in ours):.0f} µs",
                ]
            rows.append(row)
    header = [f"{ROUNDS} x {JOBS} jobs, {AT_ONCE} at once"]
    header += ["added a second", "to Node", "CPU a job", "worked off a second", "to Node", "CPU a job"]
    return "\n" + table(header, rows) + "\n"

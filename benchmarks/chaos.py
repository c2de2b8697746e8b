"""``make chaos``: kills workers, the zygote and the master at random under a stream of updates, then counts.

The schedule comes from a seed; the verdict compares what the sandbox sent with what the bots answered and
with what the inbox says became of it.
Exit code 0: the invariant holds. 1: it does not, and the table says where.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from benchmarks.peers.ours import Ours
from benchmarks.processes import end, sigkill, tree
from benchmarks.project import Bot, Project, make_bots
from benchmarks.report import say, table
from benchmarks.stage import Stage
from benchmarks.verdict import Evidence, Kill, Message, Verdict, judge
from brama.clock import monotonic_s
from brama.errors import BramaError
from brama.marks import ZYGOTE_TITLE
from supervisor.control.client import ControlClient
from supervisor.control.socket_path import socket_path
from supervisor.updates.inbox.ledger import open_ledger
from supervisor.updates.model import DeadLetter, Reason, Tally

BOTS = 8
CHATS = 3
TICK_S = 0.02
PER_TICK = 3
#: Seconds between two faults, at random from this range.
FAULT_EVERY_S = (0.2, 1.2)
#: Worker deaths are the common case; a master takes the longest to come back.
FAULTS = ("worker",) * 6 + ("zygote",) * 2 + ("master",) * 2
#: A strike comes into the middle of this many updates for one bot, after up to BURST_LEAD_S.
BURST = 30
BURST_LEAD_S = 0.06
SETTLE_TIMEOUT_S = 120.0


@dataclass(slots=True)
class Run:
    """One run: what was killed when, and what was sent to whom."""

    stage: Stage
    project: Project
    peer: Ours
    dice: random.Random
    kills: list[Kill] = field(default_factory=list)
    sent: dict[tuple[int, int], int] = field(default_factory=dict)


def run(seconds: float, seed: int, bots: int = BOTS) -> Verdict:
    """Play ``seconds`` of chaos with ``seed``; return the verdict.

    Raises:
        TimeoutError: the bots did not start, or were not through with everything, in SETTLE_TIMEOUT_S.
    """
    with Stage() as stage, tempfile.TemporaryDirectory(prefix="chaos-") as name:
        project = Project(Path(name), stage.base_url, make_bots(bots))
        peer = Ours({"restart": {"budget": 100_000, "cooldown": "1s"}, "stop": {"timeout": "20s"}})
        play = Run(stage, project, peer, random.Random(seed))
        for bot in project.bots:
            stage.control.add_bot(bot.token)
        _send(play, project.bots)
        peer.start(project)
        try:
            stage.wait_answers([bot.telegram_id for bot in project.bots], 1, SETTLE_TIMEOUT_S)
            _storm(play, seconds)
            _settle(play)
            processes = tree(peer.roots())
            peer.stop()
        finally:
            end(tree(peer.roots()))
        given_up, tallies = asyncio.run(_read_inbox(project))
        survivors = sum(process.is_running() for process in processes)
        evidence = Evidence(play.sent, stage.control.sent(), play.kills, given_up, tallies, survivors)
        return judge(evidence, project)


def _storm(play: Run, seconds: float) -> None:
    """Send a steady stream while faults strike, until each kind of process was killed at least once."""
    until = monotonic_s() + seconds
    next_fault_at = monotonic_s() + play.dice.uniform(*FAULT_EVERY_S)
    fault = play.dice.choice(FAULTS)
    while monotonic_s() < until or {kill.what for kill in play.kills} != set(FAULTS):
        _send(play, play.dice.choices(play.project.bots, k=PER_TICK))
        if monotonic_s() >= next_fault_at and _strike(play, fault):
            fault = play.dice.choice(FAULTS)
            next_fault_at = monotonic_s() + play.dice.uniform(*FAULT_EVERY_S)
        Event().wait(TICK_S)


def _send(play: Run, bots: Sequence[Bot]) -> None:
    """Send the next numbered message to each of ``bots``, each in a chat at random."""
    batch = []
    for bot in bots:
        chat = play.dice.randrange(CHATS)
        number = play.sent.get((bot.telegram_id, chat), 0)
        play.sent[bot.telegram_id, chat] = number + 1
        batch.append({"bot": bot.telegram_id, "chat_id": chat + 1, "text": str(number)})
    play.stage.control.send_batch(batch)


def _strike(play: Run, fault: str) -> bool:
    """Kill one process while a bot is busy; return whether there was one.

    A killed master is started again at once, as an init does.
    """
    bot = play.dice.choice(play.project.bots)
    try:
        match fault:
            case "worker":
                pid = play.peer.worker_pid(bot)
            case "zygote":
                pid = play.peer.pid_titled(ZYGOTE_TITLE)
            case _:
                [pid] = play.peer.roots()
    except LookupError:
        return False  # it is between two lives
    _send(play, [bot] * BURST)
    Event().wait(play.dice.uniform(0.0, BURST_LEAD_S))
    try:
        moment = play.peer.kill() if fault == "master" else sigkill(pid)
    except ProcessLookupError:
        return False
    play.kills.append(Kill(fault, bot.telegram_id if fault == "worker" else None, moment))
    if fault == "master":
        play.peer.start(play.project)
    return True


def _settle(play: Run) -> None:
    """Wait until nothing waits at Telegram or in the inbox."""
    client = ControlClient(socket_path(play.project.folder / "state"))
    deadline = monotonic_s() + SETTLE_TIMEOUT_S
    while trouble := _unsettled(play, client):
        if monotonic_s() > deadline:
            raise TimeoutError(f"{trouble} {SETTLE_TIMEOUT_S:.0f} s after the last fault")
        Event().wait(TICK_S)


def _unsettled(play: Run, client: ControlClient) -> str:
    """Return in words what is not over yet."""
    if pending := sum(bot.pending for bot in play.stage.control.world_state().bots):
        return f"{pending} updates still wait at Telegram"
    try:
        totals = client.status().totals
    except (BramaError, OSError) as error:
        return f"the master does not answer: {error}"
    return f"{totals.inbox} updates still wait in the inbox" if totals.inbox else ""


async def _read_inbox(project: Project) -> tuple[dict[Message, Reason], dict[int, Tally]]:
    """Return the dead letters and what was counted for each bot, from the file the master has closed."""
    ledger = open_ledger(project.folder / "state" / "brama.db")
    try:
        tallies: dict[int, Tally] = {each.telegram_id: tally for each, tally in ledger.tallies().items()}
        listed = await ledger.dead_letters(limit=100_000)
        letters = [await ledger.dead_letter(letter.letter_id) for letter in listed]
        return {_message_of(letter): letter.reason for letter in letters if letter is not None}, tallies
    finally:
        await ledger.close()


def _message_of(letter: DeadLetter) -> Message:
    assert letter.source is not None, "nothing malformed was sent"
    message = json.loads(letter.raw)["message"]
    return letter.source.telegram_id, message["chat"]["id"] - 1, int(message["text"])


def main() -> int:
    """Run as ``python -m benchmarks.chaos``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults strike (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier schedule")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    say(f"chaos for {options.seconds:.0f} s with seed {seed}")
    verdict = run(options.seconds, seed)
    say(table(["chaos", "count"], verdict.rows()))
    for line in verdict.faults:
        say(f"BROKEN: {line}")
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())

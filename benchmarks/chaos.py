"""``make chaos``: kills workers, the zygote and the master at random under a stream of updates, then counts.

The schedule comes from a seed; the verdict compares what the sandbox sent with what the bots answered.
Exit code 0: the invariant holds. 1: it does not, and the table says where.
"""

import argparse
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from benchmarks.peers.ours import Ours
from benchmarks.processes import end, sigkill, tree
from benchmarks.project import Bot, Project, make_bots
from benchmarks.report import say, table
from benchmarks.stage import Stage
from benchmarks.verdict import Kill, Verdict, judge
from brama.clock import monotonic_s

BOTS = 8
CHATS = 3
TICK_S = 0.05
#: Seconds between two faults, at random from this range.
FAULT_EVERY_S = (0.4, 1.5)
#: Worker deaths are the common case; a master takes the longest to come back.
FAULTS = ("worker",) * 6 + ("zygote",) * 2 + ("master",) * 2
SETTLE_TIMEOUT_S = 120.0
ZYGOTE_TITLE = "brama: zygote"


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
        TimeoutError: the bots were not through with everything SETTLE_TIMEOUT_S after the last fault.
    """
    with Stage() as stage, tempfile.TemporaryDirectory(prefix="chaos-") as name:
        project = Project(Path(name), stage.base_url, make_bots(bots))
        peer = Ours({"restart": {"budget": 100_000, "cooldown": "1s"}, "stop": {"timeout": "20s"}})
        play = Run(stage, project, peer, random.Random(seed))
        for bot in project.bots:
            stage.control.add_bot(bot.token)
            _send(play, bot, chat=0)
        peer.start(project)
        try:
            _storm(play, seconds)
            _settle(play)
        finally:
            processes = tree(peer.roots())
            end(processes)
        return judge(play.sent, stage.control.sent(), play.kills, project)


def _storm(play: Run, seconds: float) -> None:
    """Send a steady stream while faults strike."""
    until = monotonic_s() + seconds
    next_fault_at = monotonic_s() + play.dice.uniform(*FAULT_EVERY_S)
    while monotonic_s() < until:
        for bot in play.dice.sample(play.project.bots, k=min(3, len(play.project.bots))):
            _send(play, bot, play.dice.randrange(CHATS))
        if monotonic_s() >= next_fault_at:
            _strike(play, play.dice.choice(FAULTS))
            next_fault_at = monotonic_s() + play.dice.uniform(*FAULT_EVERY_S)
        Event().wait(TICK_S)


def _send(play: Run, bot: Bot, chat: int) -> None:
    """Send the next numbered message of one chat."""
    number = play.sent.get((bot.telegram_id, chat), 0)
    play.stage.control.send_messages(bot.telegram_id, chat + 1, f"{number}")
    play.sent[bot.telegram_id, chat] = number + 1


def _strike(play: Run, fault: str) -> None:
    """Kill one process; a killed master is started again at once, as an operator's init would."""
    if fault == "master":
        play.kills.append(Kill(fault, None, play.peer.kill()))
        play.peer.start(play.project)
        return
    try:
        if fault == "zygote":
            pid = play.peer.pid_titled(ZYGOTE_TITLE)
            play.kills.append(Kill(fault, None, sigkill(pid)))
        else:
            bot = play.dice.choice(play.project.bots)
            play.kills.append(Kill(fault, bot.telegram_id, sigkill(play.peer.worker_pid(bot))))
    except (LookupError, ProcessLookupError):
        return  # it is between two lives


def _settle(play: Run) -> None:
    """Wait until every message has an answer and nothing waits at Telegram."""
    totals = {bot.telegram_id: 0 for bot in play.project.bots}
    for (bot_id, _), count in play.sent.items():
        totals[bot_id] += count
    for bot_id, count in totals.items():
        play.stage.wait_answers([bot_id], count, SETTLE_TIMEOUT_S)
    deadline = monotonic_s() + SETTLE_TIMEOUT_S
    while (inbox := play.peer.status()["totals"]["inbox"]) or any(
        bot.pending for bot in play.stage.control.world_state().bots
    ):
        if monotonic_s() > deadline:
            raise TimeoutError(f"{inbox} updates still wait in the inbox")
        Event().wait(TICK_S)


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

"""``make chaos``: kills and reloads at random under a stream of updates to pollers and webhooks, then counts.

Workers, the zygote and the master are killed; settings of bots and the way their updates come are changed.
Half of the bots poll at first, the others are delivered to over TLS through nginx, where it is installed.
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
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from benchmarks.faults import FAULTS, have_all_struck, strike
from benchmarks.front import Front, encrypted_front, straight_front
from benchmarks.nginx import is_available
from benchmarks.peers.ours import Ours
from benchmarks.play import Play
from benchmarks.processes import end, tree
from benchmarks.project import Project, make_bots
from benchmarks.report import say, table
from benchmarks.stage import Stage
from benchmarks.verdict import Evidence, Message, Verdict, judge
from brama.clock import monotonic_s
from brama.errors import BramaError
from supervisor.control.client import ControlClient
from supervisor.updates.inbox.ledger import open_ledger
from supervisor.updates.model import DeadLetter, Reason, Tally

BOTS = 8
TICK_S = 0.02
PER_TICK = 3
#: Seconds between two faults, at random from this range.
FAULT_EVERY_S = (0.2, 1.2)
#: Telegram's pauses between two attempts to deliver, so much shorter.
PAUSE_SCALE = 0.02
SETTLE_TIMEOUT_S = 120.0


def run(seconds: float, seed: int, bots: int = BOTS) -> Verdict:
    """Play ``seconds`` of chaos with ``seed``; return the verdict.

    Raises:
        TimeoutError: the bots did not start, or were not through with everything, in SETTLE_TIMEOUT_S.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        front = _front(folder, stack)
        stage = stack.enter_context(Stage(*front.sandbox_options))
        stage.control.set_limits(webhook_pause_scale=PAUSE_SCALE)
        project = Project(folder, stage.base_url, make_bots(bots))
        peer = Ours({
            "restart": {"budget": 100_000, "cooldown": "1s"},
            "stop": {"timeout": "20s"},
            "webhook": front.section,
        })  # fmt: skip
        entries = {bot.name: {"mode": "webhook" if bot.number % 2 else "polling"} for bot in project.bots}
        play = Play(stage, project, peer, random.Random(seed), entries)
        for bot in project.bots:
            stage.control.add_bot(bot.token)
        play.send(project.bots)
        peer.configure(project, entries)
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
        evidence = Evidence(
            sent=play.sent,
            answers=stage.control.sent(),
            kills=play.kills,
            reloads=play.reloads,
            delivered=front.count_taken(),
            given_up=given_up,
            tallies=tallies,
            survivors=survivors,
        )
        return judge(evidence, project)


def _front(folder: Path, stack: ExitStack) -> Front:
    """Return where webhooks are delivered to, open until ``stack`` is closed."""
    if is_available():
        return stack.enter_context(encrypted_front(folder / "nginx"))
    say("nginx or openssl is not installed: updates are delivered by plain HTTP, without a proxy")
    return straight_front()


def _storm(play: Play, seconds: float) -> None:
    """Send a steady stream while faults strike, until each kind of fault has happened at least once."""
    until = monotonic_s() + seconds
    next_fault_at = monotonic_s() + play.dice.uniform(*FAULT_EVERY_S)
    fault = play.dice.choice(FAULTS)
    while monotonic_s() < until or not have_all_struck(play):
        play.send(play.dice.choices(play.project.bots, k=PER_TICK))
        if monotonic_s() >= next_fault_at and strike(play, fault):
            fault = play.dice.choice(FAULTS)
            next_fault_at = monotonic_s() + play.dice.uniform(*FAULT_EVERY_S)
        Event().wait(TICK_S)


def _settle(play: Play) -> None:
    """Wait until nothing waits at Telegram or in the inbox."""
    client = play.client
    deadline = monotonic_s() + SETTLE_TIMEOUT_S
    while trouble := _unsettled(play, client):
        if monotonic_s() > deadline:
            raise TimeoutError(f"{trouble} {SETTLE_TIMEOUT_S:.0f} s after the last fault")
        Event().wait(TICK_S)


def _unsettled(play: Play, client: ControlClient) -> str:
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

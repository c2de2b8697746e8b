"""``make chaos``: faults of every kind strike at random under a stream of updates, then all is counted.

What strikes is listed in ``benchmarks/faults/registry.py``; what strikes when comes from a seed. Half of the
bots poll at first, the others are delivered to over TLS through nginx, where it is installed. The verdict
compares what the sandbox sent with what the bots answered and with what the inbox says became of it.
Exit code 0: the invariant holds. 1: it does not, and the table says where.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from benchmarks.evidence import Evidence, Letter, Message
from benchmarks.faketime import WallClock, find_library, wall_clock
from benchmarks.faults.registry import KINDS
from benchmarks.front import Front, encrypted_front, straight_front
from benchmarks.nginx import is_available
from benchmarks.peers.ours import Ours
from benchmarks.play import Play
from benchmarks.processes import end, tree
from benchmarks.project import Project, make_bots
from benchmarks.release import Release
from benchmarks.report import say, table
from benchmarks.schedule import Blow, draw_up
from benchmarks.small_disk import SmallDisk, small_disk
from benchmarks.stage import Stage
from benchmarks.verdict import Verdict, judge
from brama.clock import monotonic_s
from brama.errors import BramaError
from supervisor.control.client import RequestRefusedError
from supervisor.updates.inbox.ledger import open_ledger
from supervisor.updates.model import DeadLetter, Tally

SCRIPT = Path(__file__).with_name("chaos_bot.py")
BOTS = 50
TICK_S = 0.02
PER_TICK = 3
#: A fault comes into the middle of this many updates for one bot, after up to BURST_LEAD_S.
BURST = 30
BURST_LEAD_S = 0.06
#: Telegram's pauses between two attempts to deliver, so much shorter.
PAUSE_SCALE = 0.02
DISK_MB = 64
SETTLE_TIMEOUT_S = 120.0
#: Intervals are short, so that a hung worker is found within a run.
CONFIGURATION = {
    "restart": {"budget": 100_000, "cooldown": "1s"},
    "heartbeat": {"interval": "1s"},
    "limits": {"worker_timeout": "5s"},
    "stop": {"timeout": "20s"},
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run; ``left_out``: the kinds of fault this machine cannot have, with the reasons."""

    verdict: Verdict
    left_out: Mapping[str, str]


def run(seconds: float, seed: int, bots: int = BOTS) -> Outcome:
    """Play ``seconds`` of chaos with ``seed``; return the verdict.

    Raises:
        TimeoutError: the bots did not start, or were not through with everything, in SETTLE_TIMEOUT_S.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        front = _front(folder, stack)
        stage = stack.enter_context(Stage(*front.sandbox_options))
        stage.control.set_limits(webhook_pause_scale=PAUSE_SCALE)
        project = Project(folder, stage.base_url, make_bots(bots), SCRIPT)
        disk, wall = _disk(folder, stack), _wall_clock(folder, stack)
        state_dir = (disk.folder if disk else folder) / "state"
        release = Release(folder / "releases")
        peer = Ours(
            {**CONFIGURATION, "webhook": front.section, "state_dir": str(state_dir)},
            wall.environment if wall else {},
            release.command,
        )
        entries = {bot.name: {"mode": "webhook" if bot.number % 2 else "polling"} for bot in project.bots}
        play = Play(stage, project, peer, random.Random(seed), entries, state_dir, release, disk, wall)
        left_out = {name: why for name, kind in KINDS.items() if (why := kind.find_missing(play)) is not None}
        weights = {name: kind.weight for name, kind in KINDS.items() if name not in left_out}
        for bot in project.bots:
            stage.control.add_bot(bot.token)
        play.send(project.bots)
        peer.configure(project, entries)
        peer.start(project)
        try:
            stage.wait_answers([bot.telegram_id for bot in project.bots], 1, SETTLE_TIMEOUT_S)
            _storm(play, seconds, draw_up(seed, seconds, bots, weights))
            _see_one_take_over(play)
            _settle(play)
            processes = tree(peer.roots())
            peer.stop()
        finally:
            end(tree(peer.roots()))
        letters, tallies = asyncio.run(_read_inbox(state_dir))
        evidence = Evidence(
            sent=play.sent,
            answers=stage.control.sent(),
            strikes=play.strikes,
            delivered=front.count_taken(),
            taken_over=(folder / "logs" / "master.log").read_text().count('"master.handed_over"'),
            letters=letters,
            tallies=tallies,
            survivors=sum(process.is_running() for process in processes),
        )
        return Outcome(judge(evidence, project), left_out)


def _front(folder: Path, stack: ExitStack) -> Front:
    """Return where webhooks are delivered to, open until ``stack`` is closed."""
    if is_available():
        return stack.enter_context(encrypted_front(folder / "nginx"))
    say("nginx or openssl is not installed: updates are delivered by plain HTTP, without a proxy")
    return straight_front()


def _disk(folder: Path, stack: ExitStack) -> SmallDisk | None:
    """Return a disk for the state alone until ``stack`` is closed; None where none may be mounted."""
    try:
        return stack.enter_context(small_disk(folder / "disk", DISK_MB))
    except PermissionError:
        return None


def _wall_clock(folder: Path, stack: ExitStack) -> WallClock | None:
    """Return a clock for the master alone, until ``stack`` is closed; None without libfaketime."""
    library = find_library()
    return None if library is None else stack.enter_context(wall_clock(library, folder / "wall_clock"))


def _storm(play: Play, seconds: float, schedule: list[Blow]) -> None:
    """Send a steady stream while one fault after the other strikes, each as soon as it can when it is due."""
    began_at = monotonic_s()
    blows = iter(schedule)
    blow = next(blows, None)
    is_busy = False
    while blow is not None or monotonic_s() < began_at + seconds:
        play.undo()
        play.send(play.dice.choices(play.project.bots, k=PER_TICK))
        if (
            blow is not None
            and monotonic_s() >= began_at + blow.at_s
            and play.master_pid not in play.standing
        ):
            if not is_busy:
                play.send([play.project.bots[blow.bot]] * BURST)
                Event().wait(play.dice.uniform(0.0, BURST_LEAD_S))
            is_busy = not KINDS[blow.kind].strike(play, blow)
            blow = blow if is_busy else next(blows, None)
        Event().wait(TICK_S)


def _see_one_take_over(play: Play) -> None:
    """Restart hot once more with nothing in its way: in the storm something may have been in each one's.

    Raises:
        TimeoutError: none does, or it is refused, for SETTLE_TIMEOUT_S.
    """
    deadline = monotonic_s() + SETTLE_TIMEOUT_S
    before = None
    while before is None:
        _wait_a_tick(deadline, "no hot restart is possible")
        if play.undo(everything=True) and _is_up(play):
            with suppress(RequestRefusedError):  # the disk may not be known to have room yet
                before = play.client.restart().hot_restarts
    while play.client.status().master.hot_restarts == before:
        play.send(play.dice.choices(play.project.bots, k=PER_TICK))
        _wait_a_tick(deadline, "no master has taken over")


def _is_up(play: Play) -> bool:
    try:
        status = play.client.status()
    except (BramaError, OSError):
        return False
    return status.master.state == "running" and not status.master.renewing


def _wait_a_tick(deadline: float, trouble: str) -> None:
    if monotonic_s() > deadline:
        raise TimeoutError(f"{trouble} {SETTLE_TIMEOUT_S:.0f} s after the last fault")
    Event().wait(TICK_S)


def _settle(play: Play) -> None:
    """Undo what is still to be undone; wait until nothing waits at Telegram or in the inbox."""
    deadline = monotonic_s() + SETTLE_TIMEOUT_S
    while trouble := _unsettled(play):
        _wait_a_tick(deadline, trouble)


def _unsettled(play: Play) -> str:
    """Return in words what is not over yet."""
    if not play.undo(everything=True):
        return "not every fault is over"
    if pending := sum(bot.pending for bot in play.stage.control.world_state().bots):
        return f"{pending} updates still wait at Telegram"
    try:
        totals = play.client.status().totals
    except (BramaError, OSError) as error:
        return f"the master does not answer: {error}"
    if totals.running < totals.bots:
        return f"{totals.running} of {totals.bots} bots run"
    return f"{totals.inbox} updates still wait in the inbox" if totals.inbox else ""


async def _read_inbox(state_dir: Path) -> tuple[dict[Message, Letter], dict[int, Tally]]:
    """Return the dead letters and what was counted for each bot, from the file the master has closed."""
    ledger = open_ledger(state_dir / "brama.db")
    try:
        tallies: dict[int, Tally] = {each.telegram_id: tally for each, tally in ledger.tallies().items()}
        listed = await ledger.dead_letters(limit=100_000)
        letters = [await ledger.dead_letter(letter.letter_id) for letter in listed]
        found = {_message_of(each): Letter(each.reason, each.error) for each in letters if each is not None}
        return found, tallies
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
    parser.add_argument("--bots", type=int, default=BOTS, help=f"how many bots (default: {BOTS})")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    say(f"chaos for {options.seconds:.0f} s with {options.bots} bots and seed {seed}")
    outcome = run(options.seconds, seed, options.bots)
    for name, why in outcome.left_out.items():
        say(f"left out: {name}: {why}")
    say(table(["chaos", "count"], outcome.verdict.rows()))
    for line in outcome.verdict.broken:
        say(f"BROKEN: {line}")
    return 1 if outcome.verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())

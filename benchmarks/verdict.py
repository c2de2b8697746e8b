"""Judges a chaos run: nothing lost, order kept, twice only across a death.

Pure: compares what was sent with what was answered.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.project import Project
from sandbox.calls import SentCall

#: Clocks of the sandbox and of this process are one; an answer may be under way while a signal is.
CLOCK_SLACK_S = 0.25


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL: of a worker (then of which bot), of the zygote or of the master; monotonic seconds."""

    what: str
    telegram_id: int | None
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The counts of one run and, in words, every promise that was broken."""

    kills: Counter[str]
    sent: int
    processed: int
    repeated: int
    lost: int
    faults: tuple[str, ...]

    def rows(self) -> list[list[str]]:
        """Return the table's rows."""
        rows = [[f"SIGKILL of a {what}", str(count)] for what, count in sorted(self.kills.items())]
        rows += [
            ["updates sent", str(self.sent)],
            ["processed", str(self.processed)],
            ["lost", str(self.lost)],
        ]
        rows += [
            ["processed twice, across a death", str(self.repeated)],
            ["promises broken", str(len(self.faults))],
        ]
        return rows


def judge(
    sent: Mapping[tuple[int, int], int], answers: Sequence[SentCall], kills: Sequence[Kill], project: Project
) -> Verdict:
    """Compare.

    Args:
        sent: how many messages, numbered from 0, each (bot, chat) got.
        answers: all that bots sent, in the sandbox's order.
        kills: what was killed when.
        project: the bots, for their names.
    """
    moments: dict[tuple[int, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for call in answers:
        chat = int(call.params["chat_id"]) - 1
        moments[call.bot, chat][int(call.params["text"])].append(call.at_ms / 1000)
    names = {bot.telegram_id: bot.name for bot in project.bots}
    faults, lost, processed, repeated = [], 0, 0, 0
    for (bot, chat), count in sent.items():
        place = f"{names[bot]}, chat {chat}"
        seen = moments[bot, chat]
        missing = [number for number in range(count) if number not in seen]
        lost += len(missing)
        processed += len(seen)
        if missing:
            faults.append(f"{place}: lost {missing[:5]}")
        if list(seen) != sorted(seen):
            faults.append(f"{place}: first answers out of order")
        for number, times in seen.items():
            repeated += len(times) - 1
            for earlier, later in pairwise(times):
                if not any(_explains(kill, bot, earlier, later) for kill in kills):
                    faults.append(f"{place}: {number} answered twice without a death between")
    return Verdict(
        Counter(k.what for k in kills), sum(sent.values()), processed, repeated, lost, tuple(faults)
    )


def _explains(kill: Kill, bot: int, earlier: float, later: float) -> bool:
    """Return whether a death may have come between an answer and its acknowledgement."""
    concerns = kill.what == "master" or kill.telegram_id == bot
    return concerns and earlier - CLOCK_SLACK_S <= kill.at <= later + CLOCK_SLACK_S

"""Judges a chaos run: nothing lost, order kept, twice only across a death, and the inbox's own sum is right.

Pure: compares what was sent with what was answered, what was given up, and what the inbox counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.project import Project
from sandbox.calls import SentCall
from supervisor.updates.model import Reason, Tally

#: Clocks of the sandbox and of this process are one; an answer may be under way while a signal is.
CLOCK_SLACK_S = 0.25
#: Updates of one chat named in a broken promise.
NAMED = 5

#: One message: the bot by its Telegram id, the chat, its number in the chat from 0.
Message = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL: of a worker (then of which bot), of the zygote or of the master; monotonic seconds."""

    what: str
    telegram_id: int | None
    at: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known after a run.

    Attributes:
        sent: how many messages, numbered from 0, each (bot, chat) got.
        answers: all that bots sent, in the sandbox's order.
        kills: what was killed when.
        reloads: how often what was changed in the configuration; explains nothing.
        delivered: requests to webhooks that were answered 200; None: nobody counted them.
        given_up: the dead letters, with their reasons.
        tallies: what the inbox counted for each bot, after the stop.
        survivors: processes that outlived the stop.
    """

    sent: Mapping[tuple[int, int], int]
    answers: Sequence[SentCall]
    kills: Sequence[Kill]
    reloads: Mapping[str, int]
    delivered: int | None
    given_up: Mapping[Message, Reason]
    tallies: Mapping[int, Tally]
    survivors: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The counts of one run and, in words, every promise that was broken."""

    kills: Counter[str]
    reloads: Mapping[str, int]
    delivered: int | None
    sent: int
    processed: int
    repeated: int
    given_up: int
    lost: int
    faults: tuple[str, ...]

    def rows(self) -> list[list[str]]:
        """Return the table's rows."""
        rows = [[f"SIGKILL of a {what}", str(count)] for what, count in sorted(self.kills.items())]
        rows += [
            [f"reload of a bot's changed {what}", str(count)] for what, count in sorted(self.reloads.items())
        ]
        if self.delivered is not None:
            rows.append(["deliveries through nginx answered 200", str(self.delivered)])
        rows += [
            ["updates sent", str(self.sent)],
            ["processed", str(self.processed)],
            ["processed twice, across a death", str(self.repeated)],
            ["dead letters, alone at three deaths", str(self.given_up)],
            ["lost", str(self.lost)],
            ["promises broken", str(len(self.faults))],
        ]
        return rows


def judge(evidence: Evidence, project: Project) -> Verdict:
    """Compare; ``project`` has the bots' names."""
    names = {bot.telegram_id: bot.name for bot in project.bots}
    moments: dict[tuple[int, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for call in evidence.answers:
        chat = int(call.params["chat_id"]) - 1
        moments[call.bot, chat][int(call.params["text"])].append(call.at_ms / 1000)
    faults = [
        f"{names[bot]}, chat {chat}: {words}"
        for bot, chat in evidence.sent
        for words in _broken_in_chat(evidence, bot, chat, moments[bot, chat])
    ]
    faults += [
        f"{names[bot]}: {words}"
        for bot, tally in evidence.tallies.items()
        for words in _broken_sums(evidence, bot, tally)
    ]
    if evidence.survivors:
        faults.append(f"{evidence.survivors} processes outlived the stop")
    times = [each for chat in moments.values() for each in chat.values()]
    return Verdict(
        kills=Counter(kill.what for kill in evidence.kills),
        reloads=evidence.reloads,
        delivered=evidence.delivered,
        sent=sum(evidence.sent.values()),
        processed=len(times),
        repeated=sum(len(each) - 1 for each in times),
        given_up=len(evidence.given_up),
        lost=sum(len(_missing(evidence, bot, chat, moments[bot, chat])) for bot, chat in evidence.sent),
        faults=tuple(faults),
    )


def _broken_in_chat(
    evidence: Evidence, bot: int, chat: int, seen: Mapping[int, Sequence[float]]
) -> Iterator[str]:
    """Yield in words what is wrong with one chat; ``seen`` are the moments each message was answered at."""
    if missing := _missing(evidence, bot, chat, seen):
        yield f"lost {len(missing)}: {missing[:NAMED]}"
    if strangers := [number for number in seen if number >= evidence.sent[bot, chat]]:
        yield f"answered what nobody sent: {strangers[:NAMED]}"
    if list(seen) != sorted(seen):
        yield "first answers out of order"
    for number, times in seen.items():
        for earlier, later in pairwise(times):
            if not any(_explains(kill, bot, earlier, later) for kill in evidence.kills):
                yield f"{number} answered twice without a death between"
    for (letter_bot, letter_chat, number), reason in evidence.given_up.items():
        if (letter_bot, letter_chat) == (bot, chat) and reason is not Reason.POISON:
            yield f"{number} was given up: {reason}"


def _missing(evidence: Evidence, bot: int, chat: int, seen: Mapping[int, Sequence[float]]) -> list[int]:
    """Return the messages that were neither answered nor given up."""
    return [
        number
        for number in range(evidence.sent[bot, chat])
        if number not in seen and (bot, chat, number) not in evidence.given_up
    ]


def _broken_sums(evidence: Evidence, bot: int, tally: Tally) -> Iterator[str]:
    """Yield in words where the inbox's own count contradicts itself or the world."""
    fates = tally.processed + tally.dropped + tally.dead_letters + tally.purged + tally.waiting
    if tally.committed != fates:
        yield f"committed {tally.committed} updates, which had {fates} fates"
    sent = sum(count for (owner, _), count in evidence.sent.items() if owner == bot)
    if tally.committed != sent:
        yield f"committed {tally.committed} of {sent} distinct updates"
    letters = sum(1 for owner, _, _ in evidence.given_up if owner == bot)
    if tally.dead_letters != letters:
        yield f"counts {tally.dead_letters} dead letters and has {letters}"
    if tally.waiting or tally.dropped:
        yield f"{tally.waiting} updates still wait, {tally.dropped} counted as duplicates"


def _explains(kill: Kill, bot: int, earlier: float, later: float) -> bool:
    """Return whether a death may have come between an answer and its acknowledgement."""
    concerns = kill.what == "master" or kill.telegram_id == bot
    return concerns and earlier - CLOCK_SLACK_S <= kill.at <= later + CLOCK_SLACK_S

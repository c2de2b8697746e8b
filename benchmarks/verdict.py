"""Judges a chaos run: nothing lost, order kept, twice only across a death, given up only by the rules.

Pure: compares what was sent with what was answered, what was given up, and what the inbox counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.evidence import Effect, Evidence, Strike
from benchmarks.pauses import NONE, Pause, longest_pause
from benchmarks.project import Project
from supervisor.updates.model import Reason, Tally

#: Clocks of the sandbox and of this process are one; an answer may be under way while a signal is.
CLOCK_SLACK_S = 0.25
#: An answer is acknowledged at most this long after it was given, on a busy machine; only a death within
#: explains that it was given again. What is held up meanwhile comes on top.
ACKNOWLEDGED_S = 2.0
#: Deaths of a bot's worker while one update ran alone, after which that is given up (``delivery.attempts``).
DEATHS_OF_POISON = 3
#: What a handler raises when the Bot API answers 502.
BAD_GATEWAY = "telegram.error.NetworkError"
#: Updates of one chat named in a broken promise.
NAMED = 5

#: The moments at which each message of a chat was answered, by its number.
Seen = Mapping[int, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The counts of one run and, in words, every promise that was broken.

    Attributes:
        strikes: by kind, how often.
        letters: by reason, how many.
        disordered: how many of ``chats`` have a message that was answered after a later one.
        pause: the longest of any bot, which is ``pause_of``.
    """

    strikes: Counter[str]
    taken_over: int
    delivered: int | None
    sent: int
    processed: int
    repeated: int
    letters: Counter[Reason]
    lost: int
    chats: int
    disordered: int
    pause: Pause
    pause_of: str
    broken: tuple[str, ...]

    def rows(self) -> list[list[str]]:
        """Return the table's rows."""
        rows = [[kind, str(count)] for kind, count in sorted(self.strikes.items())]
        rows.append(["masters that took over from another", str(self.taken_over)])
        if self.delivered is not None:
            rows.append(["deliveries through nginx answered 200", str(self.delivered)])
        rows += [["updates sent", str(self.sent)], ["processed", str(self.processed)]]
        rows += [
            [f"dead letters: {words}", str(self.letters[reason])]
            for reason, words in (
                (Reason.HANDLER_ERROR, "the Bot API refused the answer"),
                (Reason.POISON, "alone at three deaths"),
            )
        ]
        rows += [
            ["processed twice, across a death", str(self.repeated)],
            ["lost", str(self.lost)],
            ["order of first answers kept", f"{self.chats - self.disordered} of {self.chats} chats"],
            ["longest pause of a bot", f"{self.pause.length_s:.2f} s ({self.pause_of})"],
            ["promises broken", str(len(self.broken))],
        ]
        return rows


def judge(evidence: Evidence, project: Project) -> Verdict:
    """Compare; ``project`` has the bots' names."""
    names = {bot.telegram_id: bot.name for bot in project.bots}
    seen: dict[tuple[int, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for call in evidence.answers:
        chat = int(call.params["chat_id"]) - 1
        seen[call.bot, chat][int(call.params["text"])].append(call.at_ms / 1000)
    broken = [
        f"{names[bot]}, chat {chat}: {words}"
        for bot, chat in evidence.sent
        for words in _broken_in_chat(evidence, bot, chat, seen[bot, chat])
    ]
    broken += [
        f"{names[bot]}: {words}"
        for bot, tally in evidence.tallies.items()
        for words in (*_broken_sums(evidence, bot, tally), *_broken_letters(evidence, bot))
    ]
    if evidence.survivors:
        broken.append(f"{evidence.survivors} processes outlived the stop")
    times = [each for chat in seen.values() for each in chat.values()]
    pauses = [(_longest_pause(evidence, bot, seen), name) for bot, name in names.items()]
    pause, pause_of = max(pauses, key=lambda each: each[0].length_s, default=(NONE, ""))
    return Verdict(
        strikes=Counter(strike.kind for strike in evidence.strikes),
        taken_over=evidence.taken_over,
        delivered=evidence.delivered,
        sent=sum(map(len, evidence.sent.values())),
        processed=len(times),
        repeated=sum(len(each) - 1 for each in times),
        letters=Counter(letter.reason for letter in evidence.letters.values()),
        lost=sum(len(_missing(evidence, bot, chat, seen[bot, chat])) for bot, chat in evidence.sent),
        chats=len(evidence.sent),
        disordered=sum(bool(_find_late(each)) for each in seen.values()),
        pause=pause,
        pause_of=pause_of,
        broken=tuple(broken),
    )


def _broken_in_chat(evidence: Evidence, bot: int, chat: int, seen: Seen) -> Iterator[str]:
    """Yield in words what is wrong with one chat."""
    if missing := _missing(evidence, bot, chat, seen):
        yield f"lost {len(missing)}: {missing[:NAMED]}"
    if strangers := [number for number in seen if number >= len(evidence.sent[bot, chat])]:
        yield f"answered what nobody sent: {strangers[:NAMED]}"
    if late := _find_late(seen):
        yield f"answered after a later one: {late[:NAMED]}"
    for number, times in seen.items():
        for earlier, later in pairwise(times):
            if not any(_explains(evidence, strike, bot, earlier, later) for strike in evidence.strikes):
                yield f"{number} answered twice without a death before its acknowledgement"
    for (letter_bot, letter_chat, number), letter in evidence.letters.items():
        if (letter_bot, letter_chat) != (bot, chat):
            continue
        if letter.reason is Reason.HANDLER_ERROR and letter.error != BAD_GATEWAY:
            yield f"{number} was given up: {letter.error}"
        elif letter.reason not in (Reason.POISON, Reason.HANDLER_ERROR):
            yield f"{number} was given up: {letter.reason}"
        if number in seen and not _may_repeat(evidence, bot, seen[number][-1]):
            yield f"{number} was answered and given up without a death before its acknowledgement"


def _find_late(seen: Seen) -> list[int]:
    """Return the messages that were first answered after a later one of their chat."""
    late, latest = [], -1
    for number in seen:
        if number < latest:
            late.append(number)
        latest = max(latest, number)
    return late


def _missing(evidence: Evidence, bot: int, chat: int, seen: Seen) -> list[int]:
    """Return the messages that were neither answered nor given up."""
    return [
        number
        for number in range(len(evidence.sent[bot, chat]))
        if number not in seen and (bot, chat, number) not in evidence.letters
    ]


def _broken_sums(evidence: Evidence, bot: int, tally: Tally) -> Iterator[str]:
    """Yield in words where the inbox's own count contradicts itself or the world."""
    fates = tally.processed + tally.dropped + tally.dead_letters + tally.purged + tally.waiting
    if tally.committed != fates:
        yield f"committed {tally.committed} updates, which had {fates} fates"
    sent = sum(len(moments) for (owner, _), moments in evidence.sent.items() if owner == bot)
    if tally.committed != sent:
        yield f"committed {tally.committed} of {sent} distinct updates"
    letters = sum(1 for owner, _, _ in evidence.letters if owner == bot)
    if tally.dead_letters != letters:
        yield f"counts {tally.dead_letters} dead letters and has {letters}"
    if tally.waiting or tally.dropped:
        yield f"{tally.waiting} updates still wait, {tally.dropped} counted as duplicates"


def _broken_letters(evidence: Evidence, bot: int) -> Iterator[str]:
    """Yield in words where a bot's dead letters are not exactly those that the rules allow.

    Each refused answer is one, unless a death came before it was written down; each poison took its deaths.
    """
    reasons = Counter(letter.reason for (owner, _, _), letter in evidence.letters.items() if owner == bot)
    strikes = [strike for strike in evidence.strikes if strike.concerns(bot)]
    deaths = [strike for strike in strikes if strike.effect is Effect.KILLS]
    refusals = [strike for strike in strikes if strike.refused]
    most = sum(strike.refused for strike in refusals)
    least = sum(
        strike.refused
        for strike in refusals
        if not any(_came_between(evidence, death, bot, strike.at, strike.over_at) for death in deaths)
    )
    given_up = reasons[Reason.HANDLER_ERROR]
    if not least <= given_up <= most:
        yield f"{most} answers refused for good, {given_up} given up for it"
    by_worker = sum(death.telegram_id == bot for death in deaths)
    if reasons[Reason.POISON] * DEATHS_OF_POISON > by_worker:
        yield f"{reasons[Reason.POISON]} updates poison at {by_worker} deaths"


def _explains(evidence: Evidence, death: Strike, bot: int, earlier: float, later: float) -> bool:
    """Return whether a strike is a death that may have come between an answer and its acknowledgement."""
    return (
        death.effect is Effect.KILLS
        and death.concerns(bot)
        and death.at <= later + CLOCK_SLACK_S
        and _came_between(evidence, death, bot, earlier, earlier)
    )


def _may_repeat(evidence: Evidence, bot: int, answered_at: float) -> bool:
    return any(
        death.effect is Effect.KILLS
        and death.concerns(bot)
        and _came_between(evidence, death, bot, answered_at, answered_at)
        for death in evidence.strikes
    )


def _came_between(evidence: Evidence, death: Strike, bot: int, first: float, last: float) -> bool:
    """Return whether ``death`` came before what happened from ``first`` to ``last`` was written down."""
    held_s = sum(
        max(min(strike.over_at, death.at) - max(strike.at, first), 0.0)
        for strike in evidence.strikes
        if strike.effect is Effect.HOLDS and strike.concerns(bot)
    )
    return first - CLOCK_SLACK_S <= death.over_at and death.at <= last + ACKNOWLEDGED_S + held_s


def _longest_pause(
    evidence: Evidence, bot: int, seen: Mapping[tuple[int, int], Mapping[int, Sequence[float]]]
) -> Pause:
    """Return the longest pause of one bot; what was given up is not waited for."""
    chats: Iterable[tuple[int, int]] = [place for place in evidence.sent if place[0] == bot]
    messages = [
        (sent_at, seen[place][number][0])
        for place in chats
        for number, sent_at in enumerate(evidence.sent[place])
        if number in seen[place]
    ]
    return longest_pause(messages, [at for place in chats for each in seen[place].values() for at in each])

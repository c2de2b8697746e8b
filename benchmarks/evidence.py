"""What is known after a chaos run, before anybody judges it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from sandbox.calls import SentCall
from supervisor.updates.model import Reason, Tally

#: One message: the bot by its Telegram id, the chat, its number in the chat from 0.
Message = tuple[int, int, int]


class Effect(Enum):
    """What a fault may do to acknowledgements."""

    #: Nothing.
    NONE = "none"
    #: They wait until it is over.
    HOLDS = "holds"
    #: A process ended whose answers may not have been acknowledged: the bot's worker, or the master.
    KILLS = "kills"


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that happened; moments in monotonic seconds.

    Attributes:
        kind: what the table calls it.
        over_at: when the process had ended at the latest, or what was held up could go on.
        telegram_id: the bot it concerned, None: all.
        effect: on acknowledgements.
        refused: how many of the bot's answers the Bot API refused such that they must be given up.
    """

    kind: str
    at: float
    over_at: float
    telegram_id: int | None = None
    effect: Effect = Effect.NONE
    refused: int = 0

    def concerns(self, bot: int) -> bool:
        """Return whether it concerned a bot."""
        return self.telegram_id in (None, bot)


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: its reason, and the class of the exception, if it was one."""

    reason: Reason
    error: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known after a run.

    Attributes:
        sent: when each message of a (bot, chat) was sent; its place is its number.
        answers: all that bots sent, in the sandbox's order.
        strikes: what happened when.
        delivered: requests to webhooks that were answered 200; None: nobody counted them.
        taken_over: how often a master has handed over to the next.
        letters: the dead letters.
        tallies: what the inbox counted for each bot, after the stop.
        survivors: processes that outlived the stop.
    """

    sent: Mapping[tuple[int, int], Sequence[float]]
    answers: Sequence[SentCall]
    strikes: Sequence[Strike]
    delivered: int | None
    taken_over: int
    letters: Mapping[Message, Letter]
    tallies: Mapping[int, Tally]
    survivors: int

"""A Bot API that is broken for a while."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.evidence import Effect, Strike
from benchmarks.faults.kind import Kind
from benchmarks.play import Play
from benchmarks.schedule import Blow
from brama.clock import monotonic_s

SHORTEST_S, LONGEST_S = 0.5, 2.0
#: What the master calls.
INTAKE = ("getUpdates", "getMe", "getWebhookInfo", "setWebhook", "deleteWebhook")
#: How many answers of one bot are refused at a time.
REFUSALS = 3
ENDLESS = -1


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the sandbox is told to do.

    Attributes:
        kind: one of the sandbox's faults.
        methods: of all bots, until it is over.
        answers: how many answers of the struck bot, at most.
        is_final: such an answer's update is given up by the documented rules: its handler raises an error
            that is not retried.
    """

    kind: str
    methods: Sequence[str] = ()
    answers: int = 0
    is_final: bool = False
    status: int | None = None
    seconds: float | None = None

    def strike(self, play: Play, blow: Blow) -> bool:
        """Break the Bot API, and mend it after a while."""
        control, bot, began_at = play.stage.control, play.project.bots[blow.bot], monotonic_s()
        how: dict[str, Any] = {"status": self.status, "seconds": self.seconds}
        faults = [
            control.add_fault(self.kind, None, method, count=ENDLESS, **how).id for method in self.methods
        ]
        if self.answers:
            fault = control.add_fault(self.kind, bot.telegram_id, "sendMessage", count=self.answers, **how)
            faults.append(fault.id)

        def mend() -> None:
            fired = {fault.id: fault.fired for fault in control.faults()}
            for fault in faults:
                control.remove_fault(fault)
            refused = fired[faults[-1]] if self.is_final else 0
            strike = Strike(blow.kind, began_at, monotonic_s(), bot.telegram_id, Effect.NONE, refused)
            play.strikes.append(strike)

        play.later(SHORTEST_S + (LONGEST_S - SHORTEST_S) * blow.share, mend)
        return True


BOT_API = (
    Kind("502 to the master", 1, Trouble("status", INTAKE, status=502).strike),
    Kind("502 to a bot's answers", 1, Trouble("status", answers=REFUSALS, is_final=True, status=502).strike),
    Kind("Bot API that hangs", 1, Trouble("hang", (*INTAKE, "sendMessage"), seconds=1.0).strike),
    Kind("429 with retry_after", 1, Trouble("retry_after", INTAKE, answers=REFUSALS, seconds=1.0).strike),
    Kind("409 storm", 1, Trouble("conflict", ("getUpdates",)).strike),
)

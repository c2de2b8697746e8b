"""What SIGKILLs in mid-backlog cost: stock polling under a restart loop beside ours."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers.base import Peer
from benchmarks.processes import sigkill
from benchmarks.project import CHAT_ID
from benchmarks.report import say, table
from benchmarks.scene import ANSWER_TIMEOUT_S, running
from benchmarks.stage import Stage

ROUNDS = 5
BACKLOG = 400
#: Answers of a round after which the bot is killed, the rest of the round still waiting.
KILL_AFTER = 100
QUIET_S = 5.0


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages sent to one bot, how many got an answer, none, or more than one."""

    peer: str
    sent: int
    answered: int
    lost: int
    repeated: int


def measure(peer: Peer) -> Loss:
    """Give one bot a backlog, kill it in the middle again and again, count its answers."""
    with running(peer, 1) as scene:
        stage, (bot,) = scene.stage, scene.project.bots
        answers: Counter[str] = Counter()
        for number in range(ROUNDS):
            before = len(stage.control.sent(bot.telegram_id))
            texts = [f"message {number * BACKLOG + place}" for place in range(BACKLOG)]
            stage.control.send_batch({"bot": bot.telegram_id, "chat_id": CHAT_ID, "text": t} for t in texts)
            stage.wait_answers([bot.telegram_id], before + KILL_AFTER, ANSWER_TIMEOUT_S)
            sigkill(peer.worker_pid(bot))
            answers = Counter(_answers_when_quiet(stage, bot.telegram_id))
    sent = ROUNDS * BACKLOG
    counts = [answers[f"message {number}"] for number in range(sent)]
    return Loss(peer.name, sent, sent - counts.count(0), counts.count(0), sum(count > 1 for count in counts))


def _answers_when_quiet(stage: Stage, bot: int) -> list[str]:
    """Return all texts the bot sent, once it has sent no more for QUIET_S."""
    sent = stage.control.sent(bot)
    while True:
        more = stage.control.sent(bot, after=len(sent), count=1, wait_s=QUIET_S)
        if not more:
            return [call.params.get("text", "") for call in sent]
        sent = [*sent, *more]


def compare(peers: Sequence[Peer]) -> None:
    """Measure every peer and print the loss table."""
    rows = []
    for peer in peers:
        say(f"counting losses of {peer.name} ...")
        loss = measure(peer)
        rows.append([loss.peer, str(loss.sent), str(loss.answered), str(loss.lost), str(loss.repeated)])
    kills = f"backlogs of {BACKLOG}, {ROUNDS} SIGKILLs"
    say("\n" + table([kills, "sent", "answered", "lost", "answered twice"], rows) + "\n")

"""Starts one peer's fleet on a sandbox, and ends whatever is left of it when a measurement fails."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.base import Peer
from benchmarks.processes import end, tree
from benchmarks.project import CHAT_ID, SCRIPT, Project, make_bots
from benchmarks.stage import Stage
from brama.clock import monotonic_s

START_TIMEOUT_S = 300.0
ANSWER_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A fleet that runs: every bot has answered once, the last of them ``start_s`` after the command."""

    peer: Peer
    stage: Stage
    project: Project
    ids: tuple[int, ...]
    start_s: float

    def stop(self) -> float:
        """Stop the fleet; return the seconds until its last process was gone."""
        stopped_at = monotonic_s()
        self.peer.stop()
        return monotonic_s() - stopped_at

    def send_to_all(self, text: str) -> None:
        """Send one message to every bot."""
        self.stage.control.send_batch({"bot": bot, "chat_id": CHAT_ID, "text": text} for bot in self.ids)

    def wait_answers(self, count: int) -> float:
        """Wait until each bot has sent ``count`` answers; return the moment in monotonic seconds."""
        return self.stage.wait_answers(self.ids, count, ANSWER_TIMEOUT_S)


@contextmanager
def running(
    peer: Peer,
    bots: int,
    *,
    script: Path = SCRIPT,
    first_text: str = "waiting",
    stage_options: Sequence[str] = (),
) -> Iterator[Scene]:
    """Run ``bots`` bots under ``peer``; a message waits for each when the start command is given.

    Args:
        peer: not started.
        bots: how many.
        script: what each of them runs.
        first_text: the message that waits.
        stage_options: more of the sandbox's command line.

    Raises:
        TimeoutError: a bot did not answer within START_TIMEOUT_S.
    """
    with Stage(*stage_options) as stage, tempfile.TemporaryDirectory(prefix="bench-") as name:
        project = Project(Path(name), stage.base_url, make_bots(bots), script)
        ids = tuple(bot.telegram_id for bot in project.bots)
        for bot in project.bots:
            stage.control.add_bot(bot.token)
        stage.control.send_batch({"bot": bot, "chat_id": CHAT_ID, "text": first_text} for bot in ids)
        began_at = monotonic_s()
        peer.start(project)
        try:
            start_s = stage.wait_answers(ids, 1, START_TIMEOUT_S) - began_at
            yield Scene(peer, stage, project, ids, start_s)
        finally:
            end(tree(peer.roots()))

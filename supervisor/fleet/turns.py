"""Logs the turns in a bot's life that an operator looks for.

Runs in: master.
"""

from brama.ids import BotId
from brama.log import get_logger
from supervisor.fleet.policy.model import Phase, Worker

log = get_logger(__name__)


def log_turn(bot_id: BotId, before: Phase, worker: Worker) -> None:
    """Log that ``worker`` has left the phase ``before``, if that is worth a line."""
    if worker.phase is before:
        return
    if worker.phase is Phase.FATAL:
        log.error("worker.given_up", bot=bot_id, reason=worker.reason)
    elif worker.phase is Phase.COOLDOWN:
        log.warning("worker.delayed", bot=bot_id, reason=worker.reason)
    elif worker.phase is Phase.CAPACITY:
        log.warning("worker.refused", bot=bot_id, reason=worker.reason)
    elif worker.phase is Phase.DUMP:
        log.warning("worker.hung", bot=bot_id, generation=worker.generation, reason=worker.reason)

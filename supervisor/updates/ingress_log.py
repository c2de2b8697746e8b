"""Logs how the intake of bots changes.

Runs in: master.
"""

from brama.ids import BotId
from brama.log import get_logger
from supervisor.updates.ingress import IngressState

_QUIET = frozenset({IngressState.OK, IngressState.OFF})
_log = get_logger(__name__)


def log_change(bot_id: BotId, old: IngressState, new: IngressState, detail: str) -> None:
    """Log that a bot's intake stands otherwise: as a warning what an operator should look at."""
    if new not in _QUIET:
        say = _log.warning
    else:
        say = _log.debug if old in _QUIET or new is IngressState.OFF else _log.info
    say("ingress.changed", bot=bot_id, **{"from": str(old), "to": str(new), "detail": detail})

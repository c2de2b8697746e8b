"""Sees to it that the master may open as many files as its bots need.

Runs in: master.
"""

from brama.config.settings import Settings
from brama.log import get_logger
from supervisor.fleet.linux import raise_file_limit

#: Open files for each bot: pidfd, pipe, one connection to Telegram, one spare.
_PER_BOT = 4
#: The state file, logs, listeners, and whoever talks to the API.
_COMMON = 256
#: Connections that the webhook server takes at most.
_DELIVERIES = 4096

log = get_logger(__name__)


def make_room_for_files(settings: Settings) -> None:
    """Allow as many files as the kernel lets us; warn if that is too few for the bots of ``settings``."""
    has_webhook = any(bot.mode == "webhook" for bot in settings.bots)
    needed = _COMMON + _PER_BOT * len(settings.bots) + (_DELIVERIES if has_webhook else 0)
    if (allowed := raise_file_limit()) < needed:
        log.warning("files.scarce", allowed=allowed, needed=needed, way_out="raise ulimit -n (LimitNOFILE)")

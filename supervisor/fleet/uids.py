"""Gives every bot a uid of its own that it keeps for life.

Runs in: master.
"""

from collections.abc import Iterable, Mapping

from brama.errors import ConfigError
from brama.ids import BotId


def allocate_uids(bots: Iterable[BotId], uids: range, remembered: Mapping[BotId, int]) -> dict[BotId, int]:
    """Return a uid of ``uids`` for each bot: the remembered one, else one that no bot ever had.

    When none of those is left, uids of bots that are no longer configured are given again.

    Raises:
        ConfigError: there are more bots than uids.
    """
    wanted = tuple(bots)
    given = {bot: remembered[bot] for bot in wanted if remembered.get(bot) in uids}
    if len(wanted) > len(uids):
        raise ConfigError(
            f"isolation.uids: {uids.start}-{uids.stop - 1} holds {len(uids)} uids for {len(wanted)} bots; "
            f"widen it"
        )
    ever = set(remembered.values())
    never = (uid for uid in uids if uid not in ever)
    again = (uid for uid in uids if uid in ever - set(given.values()))
    for bot in wanted:
        if bot not in given:
            uid = next(never, None)
            given[bot] = next(again) if uid is None else uid
    return given

"""Names for the numbers and strings that must not be mixed up."""

from typing import NewType

#: The operator's label of a bot, ``bots[].id``: 1-64 of ``[A-Za-z0-9_.-]``, not starting with a dot.
BotId = NewType("BotId", str)

#: Telegram's numeric id of a bot: the digits before the colon of its token.
TelegramId = NewType("TelegramId", int)

#: Telegram's ``update_id``; ids may restart anywhere after a quiet week.
UpdateId = NewType("UpdateId", int)

#: Our own row number of an update in the inbox: arrival order over all bots, never reused.
Seq = NewType("Seq", int)

#: Counts the processes started for one bot by one master; 1 is the first.
Generation = NewType("Generation", int)


def telegram_id_of(token: str) -> TelegramId:
    """Return the numeric bot id that every token starts with.

    Raises:
        ValueError: ``token`` has no digits before its first colon.
    """
    digits, colon, _ = token.partition(":")
    if not colon or not digits.isascii() or not digits.isdigit():
        raise ValueError("a bot token is digits, a colon and a key")
    return TelegramId(int(digits))

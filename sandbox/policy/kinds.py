"""The kinds of update there are: which are sent unasked, and how long each is kept."""

#: What Telegram keeps an update for, in seconds.
DEFAULT_TTL_S = 86400.0

#: Kinds that are of no use later, and how long they are kept, in seconds.
SHORT_TTL_S = {
    "inline_query": 30.0,
    "callback_query": 150.0,
    "shipping_query": 150.0,
    "pre_checkout_query": 150.0,
    "chosen_inline_result": 600.0,
}

#: Kinds a bot gets only when it names them in ``allowed_updates``.
ASKED_ONLY = frozenset({"chat_member", "message_reaction", "message_reaction_count"})


def kind_of(update: dict[str, object]) -> str:
    """Return the kind of an update: its first key beside ``update_id``, empty if it has no other."""
    return next((key for key in update if key != "update_id"), "")


def is_allowed(kind: str, allowed: frozenset[str]) -> bool:
    """Tell whether a bot gets updates of ``kind``; ``allowed`` empty is Telegram's default."""
    return kind in allowed if allowed else kind not in ASKED_ONLY


def ttl_s(kind: str, longest_s: float) -> float:
    """Return how long an update is kept, never longer than ``longest_s``."""
    return min(SHORT_TTL_S.get(kind, longest_s), longest_s)

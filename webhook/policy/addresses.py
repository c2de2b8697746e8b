"""Reads what a request's path asks for.

Pure.
"""

_DELIVERIES = "/webhook/"
HEALTH = "/health"
STATS = "/webhook/stats"


def own_path(path: str, prefix: str) -> str:
    """Return ``path`` without the prefix of the public address, which a proxy may pass on or take off.

    Args:
        path: as it stands in the request, without the query.
        prefix: the path of ``webhook.host``, as ``/tg``; empty: there is none.
    """
    return path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else path


def bot_of(path: str) -> str | None:
    """Return the id that stands in ``/webhook/{bot_id}``, None if the path is another."""
    if not path.startswith(_DELIVERIES):
        return None
    bot_id = path[len(_DELIVERIES) :]
    return bot_id if bot_id and "/" not in bot_id else None

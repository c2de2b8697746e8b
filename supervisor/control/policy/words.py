"""Spells numbers for people."""

from collections.abc import Sequence


def spell_duration(milliseconds: float) -> str:
    """Return at most two units: ``0s``, ``45s``, ``5m 10s``, ``2h 13m``, ``3d 4h``."""
    seconds = int(milliseconds // 1000)
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    first = next((index for index, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count) or "0s"


def spell_size(size_bytes: int) -> str:
    """Return ``0``, ``512 B``, ``8.1 MB``, ``150 MB``; a KB is 1024 bytes, as in brama.yaml."""
    if size_bytes == 0:
        return "0"
    size = float(size_bytes)
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.1f} {unit}" if unit != "B" and size < 10 else f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB" if size < 100 else f"{size:.0f} GB"


def spell_count(count: int) -> str:
    """Return ``12,401``."""
    return f"{count:,}"


def plural(count: int, noun: str) -> str:
    """Return ``1 bot``, ``3 bots``, ``1,000 bots``."""
    return f"{spell_count(count)} {noun}" + ("" if count == 1 else "s")


def describe_unrenewed(bots: int, why: str) -> str:
    """Return that bots go on with the code before a hot restart, and why."""
    serve = "serves" if bots == 1 else "serve"
    return f"{plural(bots, 'bot')} {serve} on with the old code: {why}; it is tried again by itself"


def enumerate_words(words: Sequence[str], limit: int = 5) -> str:
    """Return ``a, b and c``, or the first ``limit`` of more: ``a, b and 7 more``."""
    shown = list(words[:limit])
    if more := len(words) - len(shown):
        shown.append(f"{more} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"

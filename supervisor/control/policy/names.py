"""Finds what somebody meant by a name that does not exist."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches

#: More names than this tell nobody anything.
MAX_NAMED = 5


def unknown_names(asked: Sequence[str], known: Collection[str]) -> str | None:
    """Return one line about the names in ``asked`` that are not in ``known``, or None if all are.

    The line offers near names, else the known ones if they are few.
    """
    existing = set(known)
    unknown = [name for name in dict.fromkeys(asked) if name not in existing]
    if not unknown:
        return None
    near = list(dict.fromkeys(match for name in unknown for match in nearest(name, existing)))
    said = " or ".join(repr(name) for name in unknown[:MAX_NAMED])
    if near:
        return f"no bot is named {said}; did you mean {', '.join(near[:MAX_NAMED])}?"
    if not existing:
        return f"no bot is named {said}; the configuration has no bots"
    shown = sorted(existing)[:MAX_NAMED]
    more = len(existing) - len(shown)
    return f"no bot is named {said}; bots are {', '.join(shown)}" + (f" and {more} more" if more else "")


def nearest(name: str, known: Collection[str]) -> list[str]:
    """Return up to three names of ``known`` that look like ``name``, the nearest first."""
    folded = {each.casefold(): each for each in sorted(known)}
    return [folded[match] for match in get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]

"""Reads the small languages of single settings: durations, sizes, shares, ranges of uids.

Each ``parse_*`` takes the text as written and raises ValueError with one clause that names the value and
the way out; the caller puts file, line and key in front of it.
"""

import re
from collections.abc import Mapping

_DURATION_UNITS_S: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: As in systemd and docker, a KB here is 1024 bytes.
_SIZE_UNITS_BYTES: Mapping[str, int] = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}

_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern} ?)+")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(B|[KMG]i?B|[KMG])", re.IGNORECASE)
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
_UIDS = re.compile(r"([0-9]+) ?- ?([0-9]+)")
#: What fingers and fonts confuse in numbers.
_LOOKALIKES = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", ",": "."})

#: Longest duration that is taken for meant.
MAX_DURATION_S = 366 * 86400.0
#: Largest uid that is not the kernel's "no user".
MAX_UID = 2**32 - 2


def parse_duration(text: str) -> float:
    """Return seconds of ``45s``, ``5m``, ``1h``, ``1h30m``, ``250ms`` or ``2d``; 0 up to MAX_DURATION_S."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f'"{text}" is not a duration; write {_repair_duration(text)}')
    total_s = sum(float(number) * _DURATION_UNITS_S[unit] for number, unit in _DURATION_PART.findall(text))
    if total_s > MAX_DURATION_S:
        raise ValueError(f'"{text}" is longer than a year; write for example 1h')
    return total_s


def parse_size(text: str) -> int:
    """Return bytes of ``150MB``, ``64KB``, ``2GB`` or ``512B``; a KB is 1024 bytes; KiB, K mean the same."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f'"{text}" is not a size; write {_repair_size(text)}')
    unit = found[2].upper().replace("I", "")
    size = float(found[1]) * _SIZE_UNITS_BYTES[unit if unit.endswith("B") else unit + "B"]
    if size >= 2**63:
        raise ValueError(f'"{text}" is larger than any memory; write for example 150MB')
    return int(size)


def parse_share(text: str) -> float:
    """Return ``5%`` as 0.05; 0% to 100%."""
    found = _SHARE.fullmatch(text)
    if not found:
        raise ValueError(f'"{text}" is not a share; write for example 5%')
    share = float(found[1]) / 100
    if share > 1:
        raise ValueError(f'"{text}" is more than all there is; write 0% to 100%')
    return share


def parse_uids(text: str) -> range:
    """Return ``20000-29999`` as the range of these uids, both ends included; 0 (root) is never in it."""
    found = _UIDS.fullmatch(text)
    if not found:
        raise ValueError(f'"{text}" is not a range of uids; write for example 20000-29999')
    first, last = int(found[1]), int(found[2])
    if not 0 < first <= last <= MAX_UID:
        raise ValueError(f'"{text}" is not a range of uids from 1 to {MAX_UID}, the lower first')
    return range(first, last + 1)


def format_duration(seconds: float) -> str:
    """Return the shortest text that ``parse_duration`` reads as ``seconds``."""
    for unit in ("d", "h", "m", "s"):
        scale = _DURATION_UNITS_S[unit]
        if seconds >= scale and seconds % scale == 0:
            return f"{seconds / scale:.0f}{unit}"
    if seconds == 0:
        return "0s"
    if seconds < 1:
        return f"{round(seconds * 1000, 3):g}ms"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def format_size(size_bytes: int) -> str:
    """Return the shortest text that ``parse_size`` reads as ``size_bytes``."""
    for unit in ("GB", "MB", "KB"):
        if size_bytes and size_bytes % _SIZE_UNITS_BYTES[unit] == 0:
            return f"{size_bytes // _SIZE_UNITS_BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def _repair_duration(text: str) -> str:
    """Return what was probably meant, else examples."""
    bare = text.replace(" ", "")
    number = re.match(r"(?=.*[0-9])[0-9OolI.,]*", bare)
    digits = number[0] if number else ""
    plain = digits.translate(_LOOKALIKES) + bare[len(digits) :].lower()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", plain):
        return f"{plain}s"
    words = {"sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m"}
    words |= {"minutes": "m", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d"}
    guess = re.sub(r"[a-z]+", lambda word: words.get(word[0], word[0]), plain)
    return guess if _DURATION.fullmatch(guess) else "for example 45s, 5m or 1h"


def _repair_size(text: str) -> str:
    """Return what was probably meant, else an example."""
    bare = text.replace(" ", "")
    number = bare.rstrip("KMGBkmgbi")
    guess = number.translate(_LOOKALIKES) + (bare[len(number) :] or "MB")
    return guess if _SIZE.fullmatch(guess) else "for example 150MB"

"""Finds what is wrong with an address that requests go to, and with the key that is sent along.

Pure.
"""

from urllib.parse import urlsplit


def find_url_fault(url: str, key_name: str, example: str) -> str | None:
    """Return why ``url``, which may hold a key and is not shown, is none; None if it is one.

    Args:
        url: what to look at.
        key_name: the setting that a key belongs into.
        example: an address that would do.
    """
    way_out = f"write {example}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"is not an address (not shown here); {way_out}"
    if parts.scheme not in {"http", "https"} or not host or not url.isascii() or " " in url or port == 0:
        return f"is not an http address (not shown here); {way_out}"
    if "@" in parts.netloc:
        return f"holds a user or password; write the key as {key_name}, and {way_out}"
    return 'has a "#", which no server sees; leave it out' if "#" in url else None


def find_key_fault(text: str) -> str | None:
    """Return why ``text`` cannot be sent as a bearer token, None if it can."""
    return "must be ASCII without blanks (not shown here)" if " " in text or not text.isascii() else None

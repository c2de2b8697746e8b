"""Makes the address that Telegram is given of ``webhook.host``.

Pure.
"""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from brama.config.hosts import is_host, is_loopback

#: Telegram delivers to no other ports.
TELEGRAM_PORTS = (443, 80, 88, 8443)
#: The Bot API server whose rules are Telegram's; a server of one's own delivers to any http address.
OFFICIAL_HOST = "api.telegram.org"
_EXAMPLE = "write https://bots.example.com"


def public_address(host: str) -> str:
    """Return the address below which bots are reached, as ``https://bots.example.com:8443/tg``.

    A bot's webhook is ``{public_address}/webhook/{bot_id}``.

    Args:
        host: ``webhook.host`` as written; without a scheme it is https. Port and path stay.

    Returns:
        The address without a slash at its end.

    Raises:
        ValueError: ``host`` is no such address; the text is one clause with the way out.
    """
    parts = _parts(host)
    return f"{parts.scheme}://{parts.netloc.rstrip(':')}{parts.path.rstrip('/')}"


def find_address_fault(host: str, base_url: str) -> str | None:
    """Return why bots cannot be reached at ``host``, None if nothing is known against it.

    Args:
        host: ``webhook.host`` as written.
        base_url: ``telegram.base_url``; the official server asks for https and certain ports.
    """
    try:
        parts = _parts(host)
    except ValueError as error:
        return str(error)
    if not is_official(base_url):
        return None
    name = parts.hostname or ""
    if parts.scheme != "https":
        return f'"{host}" is not https, and Telegram delivers to nothing else; write https://{parts.netloc}'
    if parts.port not in {None, *TELEGRAM_PORTS}:
        return (
            f'"{host}" has port {parts.port}, and Telegram delivers to 443, 80, 88 and 8443 alone; '
            "write one of these (webhook.port, where the server listens, may be another)"
        )
    if ":" in name:
        return f'"{host}" is IPv6, to which Telegram does not deliver; write a name or an IPv4 address'
    if not _is_public(name):
        return (
            f'"{host}" cannot be reached by Telegram; write the public address, as https://bots.example.com'
        )
    return None


def is_official(base_url: str) -> bool:
    """Return whether ``base_url`` is Telegram's own Bot API server."""
    return (urlsplit(base_url).hostname or "").rstrip(".").lower() == OFFICIAL_HOST


def _parts(host: str) -> SplitResult:
    """Return the parts of ``host`` with a scheme.

    Raises:
        ValueError: it is no address of a server, or has parts that it must not have.
    """
    shown = f'"{host}"'
    if any(character <= " " or character == "\\" for character in host) or not host.isascii():
        raise ValueError(f"{shown} is not an address in plain characters; {_EXAMPLE}")
    try:
        parts = urlsplit(host if "://" in host else f"https://{host}")
        name, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{shown} is not an address: {error}; {_EXAMPLE}") from None
    if "@" in parts.netloc:
        raise ValueError(f"holds a user or password, which Telegram does not send; {_EXAMPLE}")
    if parts.scheme not in {"http", "https"} or not name or not is_host(name):
        raise ValueError(f"{shown} is not an https address; {_EXAMPLE}")
    if parts.query or parts.fragment or host.endswith(("?", "#")):
        raise ValueError(f"{shown} has a ? or #; write the address alone")
    if port == 0:
        raise ValueError(f"{shown} has port 0, which is none; {_EXAMPLE}")
    return parts


def _is_public(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_global
    except ValueError:
        return not is_loopback(name)

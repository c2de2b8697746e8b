"""Finds settings that are right alone and wrong together, or wrong on this machine."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from brama.config.bots import absolute
from brama.config.entry_points import find_module_fault
from brama.config.hosts import is_host, is_loopback
from brama.config.models import Document
from brama.config.report import Location

_WEBHOOK_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")


def find_faults(
    document: Document, project_root: Path, bots: int, euid: int
) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong, with its location.

    Args:
        document: the file, each section valid by itself.
        project_root: where relative paths start.
        bots: how many bots are configured.
        euid: the effective uid of this process.
    """
    yield from _base_url_faults(document.telegram.base_url)
    yield from _api_faults(document)
    yield from _webhook_faults(document)
    yield from _isolation_faults(document, bots, euid)
    for index, module in enumerate(document.zygote.preload):
        if fault := find_module_fault(module, project_root):
            yield ("zygote", "preload", index), f"{fault}; install it or leave it out"
    if document.limits.worker_timeout <= document.heartbeat.interval:
        yield (
            ("limits", "worker_timeout"),
            "must be more than heartbeat.interval, or every bot always counts as hung",
        )
    for key in ("state_dir", "logs_dir"):
        path = absolute(getattr(document, key), project_root)
        if path.exists() and not path.is_dir():
            yield (key,), f"{path} is no folder; name a folder or a path that does not exist yet"


def _base_url_faults(url: str) -> Iterator[tuple[Location, str]]:
    where = ("telegram", "base_url")
    shown = f'"{url}"'
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        yield where, f"{shown} is not an address: {error}; write https://api.telegram.org"
        return
    if parts.scheme not in {"http", "https"} or not host or " " in url:
        yield where, f"{shown} is not an http address; write https://api.telegram.org"
    elif "@" in parts.netloc:
        yield where, "holds a user or password, which is not supported; write https://HOST"
    elif parts.query or parts.fragment:
        yield where, f"{shown} has a ? or #; write the address alone"
    elif parts.path.rstrip("/").endswith("/bot"):
        yield where, f"{shown} ends with /bot, which is added by itself; leave it out"


def _api_faults(document: Document) -> Iterator[tuple[Location, str]]:
    host, token = document.api.host, document.api.token
    if not is_host(host):
        yield ("api", "host"), f'"{host}" is neither an IP address nor a host name; write 127.0.0.1'
    elif token is None and not is_loopback(host):
        yield (
            ("api", "host"),
            f"{host} can be reached from other machines; set api.token (ALLOWED_API_KEY) or write 127.0.0.1",
        )
    if token is not None:
        text = token.get_secret_value()
        if " " in text or not text.isascii():
            yield ("api", "token"), "must be ASCII without blanks (not shown here)"


def _webhook_faults(document: Document) -> Iterator[tuple[Location, str]]:
    webhook = document.webhook
    if webhook.secret is not None and not _WEBHOOK_SECRET.fullmatch(webhook.secret.get_secret_value()):
        yield ("webhook", "secret"), "must be 1 to 256 of A-Z a-z 0-9 _ - (not shown here)"
    if (webhook.ssl_cert is None) != (webhook.ssl_key is None):
        key = "ssl_cert" if webhook.ssl_key is None else "ssl_key"
        yield ("webhook", key), "ssl_cert and ssl_key go together; write both or none"


def _isolation_faults(document: Document, bots: int, euid: int) -> Iterator[tuple[Location, str]]:
    uids = document.isolation.uids
    if uids is None:
        return
    where = ("isolation", "uids")
    if euid != 0:
        yield (
            where,
            f"needs a supervisor that runs as root, this is uid {euid}; run it as root or leave the key out",
        )
    if len(uids) < bots:
        yield where, f"has {len(uids)} uids for {bots} bots; write for example {uids[0]}-{uids[0] + bots - 1}"


def effective_uid() -> int:
    """Return the uid that decides what this process may do."""
    return os.geteuid()

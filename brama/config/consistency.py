"""Finds settings that are right alone and wrong together, or wrong on this machine."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from brama.config.entry_points import find_module_fault
from brama.config.hosts import is_host, is_loopback
from brama.config.job_checks import find_job_faults
from brama.config.models import Document
from brama.config.paths import absolute
from brama.config.report import Location
from brama.config.settings import BotSettings
from brama.config.urls import find_key_fault, find_url_fault
from brama.config.webhook_faults import find_webhook_faults, webhook_user

#: The platform is asked no more often than this, in seconds.
MIN_SOURCE_INTERVAL_S = 1.0


def find_faults(
    document: Document, project_root: Path, bots: Sequence[BotSettings], entries: int, euid: int
) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong, with its location.

    Args:
        document: the file, each section valid by itself.
        project_root: where relative paths start.
        bots: those whose entries could be read.
        entries: how many bots are configured.
        euid: the effective uid of this process.
    """
    yield from _base_url_faults(document.telegram.base_url)
    yield from _api_faults(document)
    user = webhook_user(bots, document.mode, document.bots_source.url)
    yield from find_webhook_faults(document.webhook, document.telegram.base_url, project_root, user)
    yield from _source_faults(document)
    yield from _isolation_faults(document, entries, euid)
    yield from find_job_faults(document, project_root)
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


def _source_faults(document: Document) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong with the platform's address, which may hold a key and is not shown."""
    source = document.bots_source
    if source.url is not None and (
        fault := find_url_fault(source.url, "bots_source.token", "https://platform.example.com/bots")
    ):
        yield ("bots_source", "url"), fault
    if source.token is not None and (fault := find_key_fault(source.token.get_secret_value())):
        yield ("bots_source", "token"), fault
    if source.interval < MIN_SOURCE_INTERVAL_S:
        yield ("bots_source", "interval"), "must be at least 1s; write for example 60s"


def _api_faults(document: Document) -> Iterator[tuple[Location, str]]:
    host, token = document.api.host, document.api.token
    if not is_host(host):
        yield ("api", "host"), f'"{host}" is neither an IP address nor a host name; write 127.0.0.1'
    elif token is None and not is_loopback(host):
        yield (
            ("api", "host"),
            f"{host} can be reached from other machines; set api.token (ALLOWED_API_KEY) or write 127.0.0.1",
        )
    if token is not None and (fault := find_key_fault(token.get_secret_value())):
        yield ("api", "token"), fault


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
    if shortage := find_uid_shortage(uids, bots):
        yield where, shortage


def find_uid_shortage(uids: range | None, bots: int) -> str | None:
    """Return in words that ``uids`` are too few for so many bots, None if they are not."""
    if uids is None or len(uids) >= bots:
        return None
    return f"has {len(uids)} uids for {bots} bots; write for example {uids[0]}-{uids[0] + bots - 1}"


def effective_uid() -> int:
    """Return the uid that decides what this process may do."""
    return os.geteuid()

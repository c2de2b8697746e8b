"""Lays the environment over what the file says.

``limits.max_workers`` is set by ``BRAMA_LIMITS__MAX_WORKERS``; a few names that operators use already set
their key too. A variable that is empty counts as not set. Bots are configured in the file alone.
"""

from collections.abc import Mapping
from typing import Any

from brama.config.redis_address import server_url
from brama.config.report import Location, Report

_PREFIX = "BRAMA_"

#: Names that operators and other programs use already, and the keys they set.
OWN_NAMES: Mapping[str, Location] = {
    "BOT_MODE": ("mode",),
    "WEBHOOK_HOST": ("webhook", "host"),
    "WEBHOOK_PORT": ("webhook", "port"),
    "WEBHOOK_SECRET": ("webhook", "secret"),
    "WEBHOOK_SSL_CERT": ("webhook", "ssl_cert"),
    "WEBHOOK_SSL_KEY": ("webhook", "ssl_key"),
    "AUTO_SWITCH_MODE": ("webhook", "auto_switch"),
    "REDIS_URL": ("redis", "url"),
    "ALLOWED_API_KEY": ("api", "token"),
    "WORKER_CONCURRENCY": ("jobs", "concurrency"),
    "LOG_LEVEL": ("log", "level"),
    "BACKEND_URL": ("jobs", "backend", "backend_url"),
    "NODE_ENV": ("jobs", "backend", "environment"),
    "OPENAI_API_KEY": ("jobs", "backend", "openai_api_key"),
    "OPENAI_BASE_URL": ("jobs", "backend", "openai_base_url"),
    "OPENAI_MODEL": ("jobs", "backend", "model"),
    "MOCK_PROCESSING_TIME": ("jobs", "backend", "mock_processing_time"),
}
#: The same key is asked of whoever hands jobs over.
_ALSO = {"ALLOWED_API_KEY": ("jobs", "backend", "api_keys")}
#: Written as a bare number of milliseconds.
_MILLISECONDS = frozenset({"MOCK_PROCESSING_TIME"})
#: Secrets of the master that a bot must not inherit.
WITHHELD = frozenset({"ALLOWED_API_KEY", "WEBHOOK_SECRET"})

#: What systemd says to the process it started, and to no child of it: with these a library in a bot would
#: speak for the master, take its sockets, read its credentials, or believe its own output to be the journal.
OF_THE_SERVICE = frozenset(
    {
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "FDSTORE",
        "CREDENTIALS_DIRECTORY",
        "JOURNAL_STREAM",
    }
)

_SINGLE_KEYS = ("mode", "state_dir", "logs_dir", "idle_timeout", "idle_unsafe")


def is_withheld(name: str) -> bool:
    """Return whether a variable is the master's and none of a bot's business."""
    return name in WITHHELD or name in OF_THE_SERVICE or name.startswith(_PREFIX)


def lay_over(tree: dict[str, Any], environ: Mapping[str, str], report: Report) -> None:
    """Put the settings of ``environ`` into ``tree``; ``report`` learns which variable set which key."""
    origins: dict[Location, str] = {}
    for name, location in [*OWN_NAMES.items(), *_ALSO.items()]:
        if text := environ.get(name, ""):
            _put(tree, location, f"{text}ms" if name in _MILLISECONDS and text.isdigit() else text)
            origins[location] = name
    if not environ.get("REDIS_URL") and environ.get("REDIS_HOST"):
        try:
            _put(tree, ("redis", "url"), server_url(environ) or "")
        except ValueError as error:
            report.add_elsewhere("environment", str(error))
    for name in sorted(environ):
        general = _location_of(name)
        if general and general[0] == "bots":
            report.add_elsewhere("environment", f"{name}: bots are configured in the file alone")
        elif general and environ[name]:
            _put(tree, general, environ[name])
            origins[general] = name
    report.variables = origins


def _location_of(name: str) -> Location | None:
    """Return the key that a ``BRAMA_`` variable sets; None if it is none of the configuration's."""
    if not name.startswith(_PREFIX):
        return None
    location = tuple(name.removeprefix(_PREFIX).lower().split("__"))
    if len(location) == 1:
        # Single words are also used by others (BRAMA_CONFIG): only known keys count.
        return location if location[0] in _SINGLE_KEYS else None
    return location


def _put(tree: dict[str, Any], location: Location, text: str) -> None:
    *sections, key = location
    part: Any = tree
    for section in sections:
        if part.get(section) is None:
            part[section] = {}
        part = part[section]
        if not isinstance(part, dict):
            return  # the file has no mapping there, which is reported anyway
    part[key] = text

"""Finds settings of the job queue that cannot be, and those that an operator may not have meant."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from brama.config.entry_points import find_app_fault
from brama.config.hosts import is_host, is_loopback
from brama.config.redis_address import SCHEMES
from brama.config.report import Location
from brama.config.settings import Settings
from brama.config.urls import find_key_fault, find_url_fault
from brama.config.webhook_warnings import LONG_KEY_CHARACTERS

if TYPE_CHECKING:
    from brama.config.models import Document

#: Workers beat every 5 s; a pause of less than two beats is none.
_MIN_TIMEOUT_S = 10.0


def find_job_faults(document: "Document", project_root: Path) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong, with its location; see ``find_faults``."""
    jobs, url = document.jobs, document.redis.url
    if url is not None and not _is_server(url.get_secret_value()):
        yield ("redis", "url"), "is no address of a Redis server (not shown here); write redis://host:6379"
    for index, module in enumerate(jobs.modules):
        if module.endswith(".py"):
            yield ("jobs", "modules", index), f"{module} is a file; write the module: {module[:-3]}"
        elif fault := find_app_fault(module, project_root):
            yield ("jobs", "modules", index), f"{fault}; install it or leave it out"
    yield from _alert_faults(document)
    if jobs.worker_timeout < _MIN_TIMEOUT_S:
        yield (
            ("jobs", "worker_timeout"),
            f"must be at least {_MIN_TIMEOUT_S:g}s, or workers count as hung",
        )
    backend = jobs.backend
    if not is_host(backend.host):
        yield (
            ("jobs", "backend", "host"),
            f'"{backend.host}" is neither an IP address nor a host name; write 127.0.0.1',
        )
    if backend.provider == "openai" and backend.openai_api_key is None:
        yield ("jobs", "backend", "provider"), "openai needs a key; set OPENAI_API_KEY, or write mock"
    if other := _port_taken(document):
        yield (
            ("jobs", "backend", "port"),
            f"{backend.port} is also {other}; write another, for example {backend.port + 1}",
        )


def _is_server(url: str) -> bool:
    try:
        return url.startswith(SCHEMES) and urlsplit(url).port != 0
    except ValueError:
        return False


def _alert_faults(document: "Document") -> Iterator[tuple[Location, str]]:
    alert = document.jobs.alert
    if alert.url is not None and (
        fault := find_url_fault(alert.url, "jobs.alert.token", "https://ops.example.com/hooks/jobs")
    ):
        yield ("jobs", "alert", "url"), fault
    if alert.token is None:
        return
    if alert.url is None:
        yield ("jobs", "alert", "token"), "is sent to jobs.alert.url, which is missing; write both or none"
    if fault := find_key_fault(alert.token.get_secret_value()):
        yield ("jobs", "alert", "token"), fault


def _port_taken(document: "Document") -> str | None:
    """Return which setting has the backend's port on its host, of a backend that there will be."""
    backend, api, webhook = document.jobs.backend, document.api, document.webhook
    if not (document.jobs.enabled and backend.api_keys and backend.port):
        return None
    if (backend.host, backend.port) == (api.host, api.port):
        return "api.port"
    listen = webhook.listen or "127.0.0.1"
    if document.mode == "webhook" and (backend.host, backend.port) == (listen, webhook.port):
        return "webhook.port"
    return None


def job_warnings(settings: Settings) -> Iterator[str]:
    """Yield a line for each thing worth a second look, of a queue that is enabled."""
    jobs, backend = settings.jobs, settings.jobs.backend
    keys = [key.get_secret_value() for key in backend.api_keys]
    if not jobs.modules and not keys:
        yield (
            "jobs is enabled and has nothing to run: name your jobs in jobs.modules, or set "
            "jobs.backend.api_keys for the LLM backend"
        )
    if any(len(key) < LONG_KEY_CHARACTERS for key in keys):
        yield f"jobs.backend.api_keys: one has less than {LONG_KEY_CHARACTERS} characters and can be guessed"
    token = settings.api.token
    if token is not None and token.get_secret_value() in keys:
        yield (
            "jobs.backend.api_keys: whoever asks the LLM backend can command the supervisor too, as one key "
            "is also api.token; set them apart with BRAMA_API__TOKEN"
        )
    if keys and not is_loopback(backend.host):
        yield (
            f"jobs.backend.host: whoever reaches {backend.host} talks to the LLM backend unencrypted; write "
            "127.0.0.1 where a proxy runs on this machine"
        )
    if keys and not backend.callback_hosts and backend.backend_url is None:
        yield (
            "jobs.backend: nobody may be called back; set backend_url (BACKEND_URL) or callback_hosts, or "
            "let callers ask for their answers"
        )

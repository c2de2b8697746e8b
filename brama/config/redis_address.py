"""Which Redis server the environment names.

Pure.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

#: What Redis listens on.
DEFAULT_PORT = 6379
SCHEMES = ("redis://", "rediss://", "unix://")


def server_url(environment: Mapping[str, str]) -> str | None:
    """Return the URL of the server that the environment names, None if it names none.

    ``REDIS_URL`` (redis://, rediss:// or unix://) goes before ``REDIS_HOST`` with ``REDIS_PORT`` and
    ``REDIS_PASSWORD``.

    Raises:
        ValueError: REDIS_URL or REDIS_PORT is not one.
    """
    if url := environment.get("REDIS_URL", "").strip():
        if not url.startswith(SCHEMES):
            raise ValueError(
                "REDIS_URL is no address of a Redis server; write redis://host:6379 or rediss://…"
            )
        return url
    host = environment.get("REDIS_HOST", "").strip()
    if not host:
        return None
    port = environment.get("REDIS_PORT", "").strip() or str(DEFAULT_PORT)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f'REDIS_PORT: "{port}" is not a port; write 1 to 65535, for example {DEFAULT_PORT}')
    password = environment.get("REDIS_PASSWORD", "")
    name = f"[{host}]" if ":" in host else host
    login = f":{quote(password, safe='')}@" if password else ""
    return f"redis://{login}{name}:{port}"


def without_login(url: str) -> str:
    """Return ``url`` as it may be shown: without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

"""The shared kernel of brama-supervisor; what bot authors import is named here."""

from brama.author import on_settings_change, settings
from brama.errors import NotAcceptedError
from brama.jobs import JobResult, enqueue

__all__ = ["JobResult", "NotAcceptedError", "enqueue", "on_settings_change", "settings"]

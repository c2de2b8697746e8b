"""The shared kernel of brama-supervisor; bot authors import ``settings`` and ``on_settings_change``."""

from brama.author import on_settings_change, settings

__all__ = ["on_settings_change", "settings"]

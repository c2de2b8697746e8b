"""All that a supervised job worker is told, as one JSON document; it holds secrets.

Runs in: master, which writes it; job worker, which reads it.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, field_serializer

from jobs.policy.rates import Rates


class WorkerTerms(BaseModel):
    """What one worker needs to know.

    Args:
        title: of its process.
        modules: where its types are.
        slots: jobs it runs at once.
        rates: of the limit that all types share (``jobs.limits``).
        url: the queue's server.
        state_dir: where dead letters and the outbox are.
        log_path: its log file.
        log_level: the least that is written: debug, info, warning or error.
        log_rotate_bytes: size above which the file is renamed and begun anew.
    """

    model_config = ConfigDict(frozen=True)

    title: str
    modules: tuple[str, ...]
    slots: int
    rates: Rates
    url: SecretStr
    state_dir: Path
    log_path: Path
    log_level: str
    log_rotate_bytes: int

    @field_serializer("url", when_used="json")
    def _reveal(self, secret: SecretStr) -> str:
        return secret.get_secret_value()

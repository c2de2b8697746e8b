"""What an operator decides about the LLM backend.

Runs in: master | job worker.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobs.llm.policy.callback_url import HostPort, parse_hosts


class BackendTerms(BaseModel):
    """The terms of the service and of the handlers behind it; one JSON document takes them to a worker.

    Args:
        host: where the service listens.
        port: likewise; 0 takes any free one.
        api_keys: what callers send as X-API-Key; the service does not start without one.
        environment: what ``GET /health`` says about it.
        requests_per_minute: of one key; more are answered 429.
        callback_hosts: ``HOST:PORT`` or URLs, whose host and port may be called back.
        callback_key: sent with callbacks as X-API-Key; None: the first of ``api_keys``.
        callback_secret: key of the callbacks' signature; None: the key that is sent.
        provider: mock or openai; None: openai if there is a key, else mock.
        openai_api_key: of an OpenAI-compatible service; None suits those that ask for none.
        openai_base_url: where that is; None: OpenAI's own.
        model: which model is asked.
        mock_processing_s: how long the mock takes for an answer, in seconds.

    Raises:
        ValueError: one of ``callback_hosts`` is neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = 5001
    api_keys: tuple[str, ...] = Field(default=(), repr=False)
    environment: str = "production"
    requests_per_minute: int = Field(default=600, ge=1)
    callback_hosts: tuple[str, ...] = ()
    callback_key: str | None = Field(default=None, repr=False)
    callback_secret: str | None = Field(default=None, repr=False)
    provider: Literal["mock", "openai"] | None = None
    openai_api_key: str | None = Field(default=None, repr=False)
    openai_base_url: str | None = None
    model: str = "gpt-4o-mini"
    mock_processing_s: float = Field(default=15.0, ge=0)

    @model_validator(mode="after")
    def _check_hosts(self) -> "BackendTerms":
        parse_hosts(self.callback_hosts)
        return self

    @property
    def allowed_hosts(self) -> frozenset[HostPort]:
        """The hosts that may be called back."""
        return parse_hosts(self.callback_hosts)

    @property
    def is_mock(self) -> bool:
        """Whether no model is asked."""
        return (self.provider or ("openai" if self.openai_api_key else "mock")) == "mock"

    @property
    def sent_key(self) -> str:
        """What a callback carries as X-API-Key; empty if there is nothing to send."""
        return self.callback_key or (self.api_keys[0] if self.api_keys else "")

    @property
    def signing_secret(self) -> str:
        """The key of the callbacks' signature."""
        return self.callback_secret or self.sent_key

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show."""
        held = (*self.api_keys, self.callback_key, self.callback_secret, self.openai_api_key)
        return tuple(secret for secret in held if secret)

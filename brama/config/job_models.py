"""What ``brama.yaml`` may hold about jobs: the queue's server, its workers, and the LLM backend."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from brama.config.fields import (
    Address,
    Count,
    Duration,
    Flag,
    Link,
    ModuleName,
    Port,
    Secret,
    Size,
    Slots,
    Text,
    Workers,
)
from brama.config.readers import as_choice, as_items
from brama.config.section import Section

Provider = Annotated[Literal["mock", "openai"], as_choice("mock", "openai")]
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(as_items)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(as_items)]


class RedisSection(Section):
    """The Redis or Valkey server of the job queue; without an address the supervisor runs one."""

    url: Secret | None = None
    """redis://, rediss:// or unix:// address. Variables: REDIS_URL, or REDIS_HOST with REDIS_PORT."""


class JobRatesSection(Section):
    """How often jobs of one organisation may start, and call a model."""

    per_minute: Count = 100
    """Most in any minute."""
    per_hour: Count = 5_000
    """Most in any hour."""
    per_day: Count = 100_000
    """Most in any day."""


class JobAlertSection(Section):
    """Who is told of jobs that failed for good."""

    url: Link | None = None
    """Address that a JSON document about them is posted to."""
    token: Secret | None = None
    """Sent to that address as a bearer token."""


class LlmBackendSection(Section):
    """The HTTP service that takes questions for a language model and calls back with the answer."""

    host: Text = "127.0.0.1"
    """Address to listen on."""
    port: Port = 5001
    """Port to listen on; 0 takes any free one."""
    api_keys: Secrets = ()
    """Keys that callers send as X-API-Key; without one there is no service. Variable: ALLOWED_API_KEY."""
    environment: Text = "production"
    """What GET /health says about it. Variable: NODE_ENV."""
    requests_per_minute: Count = 600
    """Most requests of one key in a minute; further ones are answered 429."""
    callback_hosts: Texts = ()
    """HOST:PORT to which answers may be sent, beside that of backend_url."""
    backend_url: Address | None = None
    """Address of the backend that asks; its host and port may be called back. Variable: BACKEND_URL."""
    callback_key: Secret | None = None
    """Sent with each answer as X-API-Key; without it the first of api_keys."""
    callback_secret: Secret | None = None
    """Key of the HMAC signature of each answer; without it callback_key."""
    provider: Provider | None = None
    """mock or openai; without it openai if there is a key, else mock."""
    openai_api_key: Secret | None = None
    """Key of the OpenAI-compatible service. Variable: OPENAI_API_KEY."""
    openai_base_url: Address | None = None
    """Address of an OpenAI-compatible service other than OpenAI's. Variable: OPENAI_BASE_URL."""
    model: Text = "gpt-4o-mini"
    """The model that is asked. Variable: OPENAI_MODEL."""
    mock_processing_time: Duration = 15.0
    """How long the mock takes for an answer. Variable: MOCK_PROCESSING_TIME, in milliseconds."""


class JobsSection(Section):
    """The job queue for slow work, and its workers."""

    enabled: Flag = False
    """Run the queue and its workers, and let bots enqueue."""
    only: Flag = False
    """Run the queue and its workers, and no bots, whatever bots there are; as ``jobs serve`` does."""
    modules: Annotated[tuple[ModuleName, ...], BeforeValidator(as_items)] = ()
    """Modules with @job functions, importable from the project root."""
    workers: Workers = 2
    """Worker processes."""
    concurrency: Slots = 2
    """Jobs that one worker runs at a time. Variable: WORKER_CONCURRENCY."""
    memory_per_worker: Size = 500 * 1024**2
    """Private memory of one worker and its child processes; one above it is drained and started anew."""
    worker_timeout: Duration = 30.0
    """A worker without a heartbeat for this long counts as hung and is killed."""
    limits: JobRatesSection = JobRatesSection()
    alert: JobAlertSection = JobAlertSection()
    backend: LlmBackendSection = LlmBackendSection()

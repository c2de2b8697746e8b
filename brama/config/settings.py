"""The settings as the program uses them: paths absolute, secrets resolved, every check passed.

Runs in: master, command line. Never imported by the zygote or a worker.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from brama.config.job_models import JobsSection, RedisSection
from brama.config.models import (
    ApiSection,
    BotLimitsSection,
    BotRestartSection,
    BotsSourceSection,
    DedupSection,
    DeliverySection,
    HeartbeatSection,
    IsolationSection,
    LimitsSection,
    LogSection,
    RestartSection,
    StopSection,
    TelegramSection,
    WebhookSection,
    ZygoteSection,
)
from brama.ids import BotId, TelegramId


class BotSettings(BaseModel):
    """One bot. Exactly one of ``script`` and ``app`` is set, unless the bot is disabled.

    A disabled bot may be without a token: then ``token`` is empty and ``telegram_id`` is 0.
    """

    model_config = ConfigDict(frozen=True)

    id: BotId
    token: SecretStr = Field(repr=False)
    telegram_id: TelegramId
    #: Absolute path.
    script: Path | None = None
    #: ``package.module:function``
    app: str | None = None
    args: tuple[str, ...] = ()
    #: Absolute path.
    cwd: Path
    #: The bot's own variables, those of its env_file included; not the token's.
    env: dict[str, str] = Field(default={}, repr=False)
    token_env: str | None = None
    settings: dict[str, Any] = Field(default={}, repr=False)
    mode: Literal["polling", "webhook"] = "polling"
    enabled: bool = True
    #: Where the entry stands: in the file, or in the platform's answer.
    origin: Literal["file", "platform"] = "file"
    limits: BotLimitsSection = BotLimitsSection()
    restart: BotRestartSection = BotRestartSection()
    allowed_updates: tuple[str, ...] | None = None
    #: Seconds without an update until the bot sleeps; None: it never does.
    idle_timeout: float | None = None
    #: Whether it sleeps although state would be lost.
    idle_unsafe: bool = False
    #: Names of the master's variables that no bot gets.
    withheld: frozenset[str] = Field(default=frozenset(), repr=False)

    @property
    def kind(self) -> Literal["script", "app"]:
        """Which kind of entry point this bot has."""
        return "script" if self.app is None else "app"

    @property
    def entry(self) -> str:
        """The absolute path of the script, or ``package.module:function``."""
        return self.app if self.app is not None else str(self.script or "")


class Settings(BaseModel):
    """The whole configuration, immutable."""

    model_config = ConfigDict(frozen=True)

    #: The file this was read from; absolute, as are all paths here.
    config_path: Path
    project_root: Path
    state_dir: Path
    logs_dir: Path
    mode: Literal["polling", "webhook"] = "polling"
    #: Of bots without their own, in seconds; 0: they never sleep.
    idle_timeout: float = 0
    idle_unsafe: bool = False
    telegram: TelegramSection = TelegramSection()
    limits: LimitsSection = LimitsSection()
    heartbeat: HeartbeatSection = HeartbeatSection()
    restart: RestartSection = RestartSection()
    stop: StopSection = StopSection()
    delivery: DeliverySection = DeliverySection()
    dedup: DedupSection = DedupSection()
    api: ApiSection = ApiSection()
    webhook: WebhookSection = WebhookSection()
    bots_source: BotsSourceSection = BotsSourceSection()
    redis: RedisSection = RedisSection()
    jobs: JobsSection = JobsSection()
    zygote: ZygoteSection = ZygoteSection()
    isolation: IsolationSection = IsolationSection()
    log: LogSection = LogSection()
    bots: tuple[BotSettings, ...] = ()
    #: Variables that some ``${...}`` of the file names.
    withheld: frozenset[str] = Field(default=frozenset(), repr=False)
    #: What loading saw that is allowed and unwise, such as secrets in a file that others may read.
    notices: tuple[str, ...] = ()

    def bot(self, bot_id: str) -> BotSettings | None:
        """Return the bot of this id, None if there is none."""
        return next((bot for bot in self.bots if bot.id == bot_id), None)

    def secrets(self) -> tuple[str, ...]:
        """Return all secrets in here, for the redaction of logs."""
        held = [bot.token for bot in self.bots]
        held += [
            secret
            for secret in (
                self.api.token,
                self.webhook.secret,
                self.bots_source.token,
                self.redis.url,
                self.jobs.alert.token,
                *self.jobs.backend.api_keys,
                self.jobs.backend.callback_key,
                self.jobs.backend.callback_secret,
                self.jobs.backend.openai_api_key,
            )
            if secret is not None
        ]
        return tuple(secret.get_secret_value() for secret in held if secret.get_secret_value())

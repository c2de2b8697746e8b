"""What ``brama.yaml`` may hold: every key, its type, its default, its meaning.

The models are the source of the JSON schema too, so a field's description is what an editor shows.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from brama.config.fields import (
    Address,
    Ages,
    Arguments,
    Connections,
    Count,
    Duration,
    DurationOrZero,
    EntryPoint,
    FilePath,
    Flag,
    IdleTime,
    Link,
    ModuleName,
    Networks,
    Port,
    Secret,
    Share,
    Size,
    Text,
    UidRange,
    VariableName,
    VariableValues,
)
from brama.config.job_models import JobsSection, RedisSection
from brama.config.readers import DEFAULT_AGES_S, as_choice, as_items
from brama.config.section import Section

Mode = Annotated[Literal["polling", "webhook"], as_choice("polling", "webhook")]
Durability = Annotated[Literal["full", "normal"], as_choice("full", "normal")]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    as_choice("debug", "info", "warning", "error", aliases={"warn": "warning"}),
]
NetworkMode = Annotated[Literal["off", "warn", "enforce"], as_choice("off", "warn", "enforce")]
Texts = Annotated[tuple[Text, ...], BeforeValidator(as_items)]


class TelegramSection(Section):
    """Where the Bot API is."""

    base_url: Address = "https://api.telegram.org"
    """Address of the Bot API server, without /bot and token."""


class LimitsSection(Section):
    """What the fleet may take of the machine."""

    max_workers: Count = 1000
    """Most bots that run at a time on this machine."""
    max_workers_per_core: Count = 500
    """The ceiling is the smaller of max_workers and cores times this."""
    min_free_memory: Share = 0.05
    """With less of the machine's memory available than this, nothing new starts."""
    memory_per_worker: Size = 150 * 1024**2
    """Private memory of one bot; over it for three samples the bot is drained and started anew."""
    worker_timeout: Duration = 90.0
    """A bot without a heartbeat for this long counts as hung and is ended."""
    start_timeout: Duration = 60.0
    """A bot must be ready this long after its process started."""


class HeartbeatSection(Section):
    """How bots say that they live."""

    interval: Duration = 30.0
    """Time between two heartbeats of one bot."""


class RestartSection(Section):
    """What happens after a bot died."""

    cooldown: DurationOrZero = 45.0
    """Longest wait before a restart; waits grow 0, 1, 5, 15, 45 s up to this."""
    budget: Count = 5
    """A bot with more deaths than this within the window is given up as FATAL."""
    window: Duration = 3600.0
    """The time over which deaths are counted."""


class StopSection(Section):
    """How the fleet stops."""

    timeout: Duration = 90.0
    """Time for all bots to finish what they have begun; then they are killed."""


class DeliverySection(Section):
    """How updates get from the inbox to bots."""

    durability: Durability = "full"
    """full: an update survives a power cut once confirmed; normal: it survives any crash of processes."""
    attempts: Count = 3
    """Deaths of a bot at one update, or retries of it, before it becomes a dead letter."""
    max_in_flight: Count = 100
    """Most updates that one bot holds at a time."""
    max_in_flight_size: Size = 4 * 1024**2
    """Most bytes of updates that one bot holds at a time; a larger update goes alone."""
    max_backlog: Count = 10_000
    """Most updates that wait for one bot; then its intake pauses."""
    max_backlog_size: Size = 256 * 1024**2
    """Most bytes of updates that wait for one bot; then its intake pauses."""
    retry_handlers: Flag = False
    """Retry any exception of a handler, at the risk of doing things twice."""
    max_update_age: Ages = dict(DEFAULT_AGES_S)
    """Age after which an update of a kind expires; none: never. Other kinds keep their default."""


class DedupSection(Section):
    """The message window: what counts as the same message sent twice."""

    window: Duration = 30.0
    """How long a message is remembered."""
    max_keys: Count = 10_000
    """How many messages are remembered, the oldest forgotten first."""
    content: Flag = False
    """Also drop the same text of the same sender in the same chat within the window."""


class ApiSection(Section):
    """The HTTP API with status, health and metrics."""

    host: Text = "127.0.0.1"
    """Address to listen on; other than loopback needs a token."""
    port: Port = 3001
    """Port to listen on; 0 takes any free one."""
    token: Secret | None = None
    """Bearer token for whatever changes something. Environment: ALLOWED_API_KEY."""


class WebhookSection(Section):
    """How Telegram brings updates to this machine, for bots in mode webhook."""

    host: Text | None = None
    """Public https address given to Telegram; a port or path prefix in it stays. Variable: WEBHOOK_HOST."""
    port: Port = 8443
    """Port the server listens on. Variable: WEBHOOK_PORT."""
    listen: Text | None = None
    """Address the server listens on; without this key 127.0.0.1, with ssl_cert every address."""
    secret: Secret | None = None
    """Key from which each bot's own secret is derived. Variable: WEBHOOK_SECRET."""
    ssl_cert: FilePath | None = None
    """Certificate file, when no proxy in front ends TLS. Variable: WEBHOOK_SSL_CERT."""
    ssl_key: FilePath | None = None
    """Key file of the certificate. Variable: WEBHOOK_SSL_KEY."""
    certificate: FilePath | None = None
    """Public certificate that Telegram is given, for one that no authority has signed."""
    max_connections: Connections = 40
    """Most connections that Telegram opens for one bot, 1 to 100."""
    max_body_size: Size = 1024**2
    """Largest update that is read; a larger one is answered 413."""
    trusted_proxies: Networks = ("127.0.0.0/8", "::1/128")
    """Networks of proxies whose X-Real-IP is believed."""
    networks: NetworkMode = "off"
    """Whether updates must come from telegram_networks: off, warn or enforce."""
    telegram_networks: Networks = ("149.154.160.0/20", "91.108.4.0/22")
    """Networks that Telegram delivers from; it may change them."""
    auto_switch: Flag = False
    """Fall back to polling while Telegram cannot reach the webhook. Environment: AUTO_SWITCH_MODE."""
    switch_after: Duration = 60.0
    """How long Telegram must fail to reach a bot's webhook before the bot falls back to polling."""
    return_after: Duration = 600.0
    """How long a bot polls before its webhook is tried again; doubled after each try that fails, up to 1h."""


class BotsSourceSection(Section):
    """The platform's API that lists bots beside those of this file."""

    url: Link | None = None
    """Address that answers {"bots": [...]}; without it there are the bots of this file alone."""
    token: Secret | None = None
    """Sent to that address as a bearer token."""
    interval: Duration = 60.0
    """Time between two questions."""


class ZygoteSection(Section):
    """The process that bots are forked from."""

    preload: Annotated[tuple[ModuleName, ...], BeforeValidator(as_items)] = ()
    """Libraries that many bots use, imported once for all; one that starts a thread is refused."""


class IsolationSection(Section):
    """What keeps bots from each other's files and memory."""

    uids: UidRange | None = None
    """Each bot runs under its own uid of this range; the supervisor must run as root."""


class LogSection(Section):
    """Log files."""

    level: LogLevel = "info"
    """Least important level that is written. Environment: LOG_LEVEL."""
    rotate_size: Size = 50 * 1024**2
    """A log file is renamed to .1 when it is larger than this."""


class BotLimitsSection(Section):
    """Limits of one bot, in place of the fleet's."""

    memory: Size | None = None
    """In place of limits.memory_per_worker."""
    worker_timeout: Duration | None = None
    """In place of limits.worker_timeout."""


class BotRestartSection(Section):
    """What happens after this bot died, in place of the fleet's rules."""

    cooldown: DurationOrZero | None = None
    """In place of restart.cooldown."""
    budget: Count | None = None
    """In place of restart.budget."""
    window: Duration | None = None
    """In place of restart.window."""


class BotSection(Section):
    """One bot, as written."""

    id: Text
    """The bot's name here: 1 to 64 of A-Z a-z 0-9 _ . - starting with a letter, digit or underscore."""
    token: Secret | None = None
    """The token from @BotFather; better ${NAME} than the token itself."""
    token_file: FilePath | None = None
    """A file that holds the token, in place of token."""
    script: FilePath | None = None
    """An unmodified python-telegram-bot script."""
    app: EntryPoint | None = None
    """package.module:function that returns or takes an Application, in place of script."""
    args: Arguments = ()
    """Arguments of the script, as written."""
    cwd: FilePath | None = None
    """Working directory; without it the script's folder, for app the project root."""
    env: VariableValues = {}
    """The bot's own environment variables, as written."""
    env_file: FilePath | None = None
    """A file of NAME=value lines; env wins over it."""
    token_env: VariableName | None = None
    """The variable in which the script expects its token, if it reads one."""
    settings: dict[str, Any] = {}
    """Anything; the bot reads it with brama.settings()."""
    mode: Mode | None = None
    """In place of the fleet's mode."""
    enabled: Flag = True
    """false: the bot is listed and does nothing; its token and files need not exist."""
    limits: BotLimitsSection = BotLimitsSection()
    restart: BotRestartSection = BotRestartSection()
    allowed_updates: Texts | None = None
    """Kinds of updates to ask Telegram for, in place of what the script asks for."""
    idle_timeout: IdleTime | None = None
    """In place of the fleet's idle_timeout."""
    idle_unsafe: Flag | None = None
    """In place of the fleet's idle_unsafe."""


class Document(Section):
    """The whole file."""

    mode: Mode = "polling"
    """How updates come in. Environment: BOT_MODE."""
    state_dir: FilePath = "state"  # type: ignore[assignment]
    """Folder of brama.db, brama.sock and brama.lock."""
    logs_dir: FilePath = "logs"  # type: ignore[assignment]
    """Folder of master.log and worker_<id>.log."""
    idle_timeout: IdleTime = 0
    """Without an update for this long a bot sleeps until the next one; 0s: it never does."""
    idle_unsafe: Flag = False
    """true: bots sleep although their conversations or user data are kept in memory alone, and are lost."""
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
    bots: tuple[BotSection, ...] = ()
    """The bots."""

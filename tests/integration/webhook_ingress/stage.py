"""The update path of a master: a real inbox, intake, webhook server, and a sandbox that delivers to it."""

from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from brama.clock import Clock, utc_s
from brama.config.models import DedupSection, DeliverySection, WebhookSection
from brama.config.settings import BotSettings, Settings
from brama.ids import BotId
from sandbox.answers import WebhookState
from supervisor.updates.inbox.ledger import Ledger
from supervisor.updates.ingress import IngressState, IngressStatus
from supervisor.updates.ingresses import Ingresses
from supervisor.updates.intake import Intake
from supervisor.updates.model import Row, Source
from supervisor.updates.policy.hook_info import Record, read_record
from tests.fixtures.sandbox import RunningSandbox
from tests.integration.inbox_tools import opened
from tests.integration.poller.stage import DEADLINES, Observed, make_settings, pause
from tests.waiting import await_until
from webhook.server import WebhookServer
from webhook.settings import server_settings

BOT = BotId("bot1")
SECRET = "a-secret-of-the-operator-0123456789"


@dataclass
class Arrived:
    """Takes down what the router would be told."""

    rows: list[Row] = field(default_factory=list)

    def arrived(self, bot_id: BotId, rows: Sequence[Row]) -> None:
        self.rows += rows

    @property
    def ids(self) -> list[int]:
        """All update ids, in the order of arrival."""
        return [row.update_id for row in self.rows]


@dataclass
class Stage:
    """One master's update path for ``bot1``, to be opened; ``waits`` are those it began, in seconds."""

    sandbox: RunningSandbox
    settings: Settings
    ledger: Ledger
    arrived: Arrived
    observed: Observed
    ingresses: Ingresses
    waits: list[float]

    @property
    def bot(self) -> BotSettings:
        return self.settings.bots[0]

    @property
    def source(self) -> Source:
        return Source(self.bot.telegram_id, self.settings.telegram.base_url)

    @property
    def url(self) -> str:
        """Where the bot's webhook is to be."""
        return f"{self.settings.webhook.host}/webhook/{BOT}"

    @property
    def status(self) -> IngressStatus:
        return self.ingresses.states()[BOT]

    def open(self) -> None:
        self.ingresses.open(BOT)

    def close(self) -> None:
        self.ingresses.close(BOT)

    @property
    def webhook(self) -> WebhookState:
        """What the sandbox knows of the webhook."""
        webhook = self.sandbox.control.state(1001).webhook
        assert webhook is not None
        return webhook

    @property
    def hook_url(self) -> str:
        """The address that the sandbox delivers to, empty for none."""
        webhook = self.sandbox.control.state(1001).webhook
        return "" if webhook is None else webhook.url

    @property
    def record(self) -> Record:
        """What is on disk of the registration."""
        return read_record(self.ledger.recall_one(f"webhook/1001@{self.source.base_url}"))

    @property
    def kinds(self) -> set[str]:
        """The kinds of updates that the sandbox was asked for last."""
        return set(self.sandbox.control.state(1001).allowed_updates)

    def calls(self, method: str) -> int:
        return self.sandbox.control.state(1001).calls.get(method, 0)

    def write(self, count: int = 1, chat: int = 7) -> list[int]:
        """Let a person write ``count`` messages; returns their update ids."""
        return self.sandbox.control.send_messages(1001, chat, "{n}", count=count).update_ids

    def put(self, webhook: dict[str, Any] | None = None, **bot: Any) -> None:
        """Give the bot another entry, or the section ``webhook`` other keys, as a reload does."""
        section = self.settings.webhook.model_copy(update=webhook or {})
        entry = self.bot.model_copy(update=bot)
        self.settings = self.settings.model_copy(update={"webhook": section, "bots": (entry,)})
        self.ingresses.put(entry, self.settings)

    async def until(self, state: IngressState, what: str = "") -> IngressStatus:
        """Wait for a state, with ``what`` in its detail."""
        await await_until(
            lambda: self.status.state is state and what in self.status.detail, what=f"{state}: {what}"
        )
        return self.status

    async def until_set(self) -> None:
        """Wait until the webhook is registered, and on disk that it is."""
        await await_until(lambda: self.hook_url == self.url, what="the webhook is set")
        await await_until(lambda: self.record.facts.url == self.url, what="that is on disk")
        await self.until(IngressState.OK)

    async def until_arrived(self, ids: Sequence[int]) -> None:
        """Wait until all of ``ids`` have come."""
        await await_until(lambda: set(ids) <= set(self.arrived.ids), what=f"{ids} have come")

    async def until_looked(self, times: int = 1) -> None:
        """Wait until getWebhookInfo was asked so often more."""
        before = self.calls("getWebhookInfo")
        await await_until(lambda: self.calls("getWebhookInfo") >= before + times, what="it looks")


@dataclass(frozen=True)
class Home:
    """Where one master after the other lives: its state file, its port, its Telegram."""

    sandbox: RunningSandbox
    folder: Path
    port: int

    @asynccontextmanager
    async def start(
        self,
        *,
        mode: str = "webhook",
        haste: float = 1.0,
        webhook: dict[str, Any] | None = None,
        delivery: DeliverySection | None = None,
        base_url: str | None = None,
        utc: Clock = utc_s,
        **bot: Any,
    ) -> AsyncIterator[Stage]:
        """Run a master's update path until the block ends.

        Args:
            mode: the bot's.
            haste: how many times shorter its waits are.
            webhook: keys of the section.
            delivery: the section.
            base_url: of the Bot API server, unless it is the sandbox's own.
            utc: the machine's clock.
            bot: keys of its entry.
        """
        host = f"http://127.0.0.1:{self.port}"
        section = WebhookSection(host=host, port=self.port, secret=SecretStr(SECRET))
        server_url = base_url or self.sandbox.base_url
        plain = make_settings(server_url, 1, delivery or DeliverySection(), mode=mode, **bot)
        settings = plain.model_copy(update={"webhook": section.model_copy(update=webhook or {})})
        async with opened(self.folder / "brama.db") as ledger:
            arrived, observed = Arrived(), Observed()
            waits: list[float] = []

            def sleep(seconds: float) -> Coroutine[None, None, None]:
                waits.append(seconds)
                return pause(seconds / haste)

            ingresses = Ingresses(
                settings,
                Intake(ledger, DedupSection(), arrived),
                ledger,
                utc=utc,
                jitter=lambda: 0.5,
                sleep=sleep,
                deadlines=DEADLINES,
            )
            server = WebhookServer(ingresses, server_settings(section, None, None), api_token=None)
            ingresses.report_to(observed)
            ingresses.watch_hooks(server)
            stage = Stage(self.sandbox, settings, ledger, arrived, observed, ingresses, waits)
            stage.put()
            try:
                await server.start()
                yield stage
            finally:
                await server.aclose()
                await ingresses.aclose()

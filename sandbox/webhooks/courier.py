"""Brings updates to webhooks: does what each bot's delivery decides."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from random import random
from typing import Any

from brama.clock import monotonic_s, utc_s
from sandbox.policy.outcome import TIMED_OUT, Outcome, failed
from sandbox.state.bot import Bot
from sandbox.state.delivery import Attempt, Delivery
from sandbox.state.world import World
from sandbox.webhooks.places import place_of
from sandbox.webhooks.route import Route
from sandbox.webhooks.tls import trust

#: Carries out the Bot API call that a webhook's answer holds, if it does: its content type and its body.
CarryOut = Callable[[Bot, str, bytes], Awaitable[None]]


class Courier:
    """Serves the webhooks of all bots of a world; one without updates costs nothing but memory."""

    def __init__(
        self,
        world: World,
        tasks: asyncio.TaskGroup,
        roots: ssl.SSLContext,
        carry_out: CarryOut,
        *,
        any_host: bool,
    ) -> None:
        """Deliver from now on.

        Args:
            roots: whom to trust where no certificate was uploaded.
            any_host: go to other machines too.
        """
        self.world = world
        self.tasks = tasks
        self.carry_out = carry_out
        self._roots = roots
        self._any_host = any_host
        self.closed = False
        self._errands: set[Errand] = set()

    def deliver_for(self, bot: Bot) -> Callable[[], None]:
        """Take over the deliveries of a bot; returns what tells that there may be some."""
        errand = Errand(self, bot)
        self._errands.add(errand)
        return errand.wake

    def forget(self, errand: "Errand") -> None:
        """Take no care of a bot any more."""
        self._errands.discard(errand)

    def route_to(self, bot: Bot) -> Route:
        """Return the way to a bot's webhook."""
        webhook = bot.webhook
        place = place_of(webhook.url)
        context = None
        if place.secure:
            context = trust(webhook.certificate, place.host) if webhook.certificate else self._roots
        return Route(webhook, context, any_host=self._any_host)

    async def close(self) -> None:
        """End what is under way, and begin nothing any more."""
        self.closed = True
        for errand in list(self._errands):
            await errand.end()


class Errand:
    """The deliveries of one bot."""

    def __init__(self, courier: Courier, bot: Bot) -> None:
        self._courier = courier
        self._world = courier.world
        self._bot = bot
        self._route: Route | None = None
        self._awake = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look soon what there is to send; however often it is said, it is looked once."""
        if not self._awake and not self._courier.closed:
            self._awake = True
            asyncio.get_running_loop().call_soon(self._look)

    async def end(self) -> None:
        """Cancel what is under way."""
        self._courier.forget(self)
        self._set_timer(None, 0.0)
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        if self._route is not None:
            await self._route.close()
            self._route = None

    @property
    def _delivery(self) -> Delivery:
        return self._world.delivery(self._bot)

    def _look(self) -> None:
        self._awake = False
        if self._courier.closed:
            return
        if self._delivery.abandoned:
            self._spawn(self.end(), watched=False)
            return
        self._retire_route()
        while (journey := self._begin()) is not None:
            self._spawn(self._carry(*journey))
        now = monotonic_s()
        self._set_timer(self._delivery.next_wake_at(now), now)

    def _begin(self) -> tuple[Attempt, Route] | None:
        """Return what to send now, and the way it goes whatever is set meanwhile."""
        attempt = self._delivery.begin(monotonic_s(), self._world.limits.webhook_pause_scale)
        if attempt is None:
            return None
        self._retire_route()
        if self._route is None:
            self._route = self._courier.route_to(self._bot)
        self._route.users += 1
        return attempt, self._route

    def _spawn(self, work: Coroutine[Any, Any, None], *, watched: bool = True) -> None:
        task = self._courier.tasks.create_task(work)
        if watched:
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def _set_timer(self, at: float | None, now: float) -> None:
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = None
        if at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - now), self._ring)

    def _ring(self) -> None:
        self._timer_at = self._timer = None
        self.wake()

    async def _carry(self, attempt: Attempt, route: Route) -> None:
        while True:
            outcome = await self._send(attempt, route)
            if outcome.body:
                await self._courier.carry_out(self._bot, outcome.content_type, outcome.body)
            scale = self._world.limits.webhook_pause_scale
            if self._delivery.end(attempt, outcome, monotonic_s(), utc_s(), random(), scale):
                self._bot.delete_webhook()
            self.wake()
            journey = self._begin()
            if journey is None:
                return
            attempt, route = journey

    async def _send(self, attempt: Attempt, route: Route) -> Outcome:
        try:
            if self._world.webhooks_blocked or self._delivery.blocked:
                # Others get their turn, however short the pauses are made.
                await asyncio.sleep(0)
                return failed(TIMED_OUT)
            outcome = await route.post(attempt.body, self._world.limits.webhook_response_limit_s)
        finally:
            route.users -= 1
            if route is not self._route and not route.users:
                await route.close()
        if route is self._route:
            self._delivery.ip_address = route.ip_address
        return outcome

    def _retire_route(self) -> None:
        """Let go of connections to an address that is not set any more, or was set anew."""
        route = self._route
        if route is not None and route.webhook is not self._bot.webhook:
            self._route = None
            if not route.users:
                self._spawn(route.close())

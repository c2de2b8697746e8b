"""The routes about the master and its bots.

Runs in: master.
"""

import asyncio
import os
from collections.abc import Sequence

from aiohttp import web

from supervisor.control.answers import RefusedError, json_answer, json_bytes, read_body
from supervisor.control.job_routes import OVERVIEW
from supervisor.control.metrics import CONTENT_TYPE, render_metrics
from supervisor.control.policy.names import unknown_names
from supervisor.control.policy.progress import progress_of
from supervisor.control.ports import Master, Verb
from supervisor.control.status import encode_status
from supervisor.control.wire import (
    CommandAnswer,
    CommandRequest,
    CountAnswer,
    OrphanRequest,
    ReloadRequest,
    StopAnswer,
)

#: Routes that change nothing and show nobody's messages: open to readers on this machine.
READING = frozenset({"/api/workers/status", "/api/progress", "/health", "/metrics", OVERVIEW})


class FleetRoutes:
    """Answers for one master. ``stop_timeout_s`` is the fleet's own deadline, told to who asks it to stop."""

    def __init__(self, master: Master, stop_timeout_s: float) -> None:
        self._master = master
        self._stop_timeout_s = stop_timeout_s

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/workers/status", self.status),
            web.get("/api/progress", self.progress),
            web.get("/health", self.health),
            web.get("/metrics", self.metrics),
            web.post("/api/workers/{bot}/{verb:start|stop|restart}", self.command_one),
            web.post("/api/commands", self.command_many),
            web.post("/api/reload", self.reload),
            web.post("/api/restart", self.restart),
            web.post("/api/orphans/drop", self.drop_orphan),
            web.post("/api/stop", self.stop),
        ]

    async def status(self, _request: web.Request) -> web.Response:
        """Answer with the whole status."""
        return json_bytes(encode_status(self._master.status()))

    async def progress(self, _request: web.Request) -> web.Response:
        """Answer with the fleet's counts alone, for those who wait for it."""
        return json_answer(progress_of(self._master.status()))

    async def health(self, _request: web.Request) -> web.Response:
        """Answer 200 while updates are taken in and handed out, else 503 and the reason."""
        health = self._master.health()
        return json_answer(health, 200 if health.ok else 503)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer in Prometheus' text format."""
        snapshot = self._master.status()
        # Rendering 1000 bots takes a tenth of a second, which the pollers shall not feel.
        text = await asyncio.to_thread(render_metrics, snapshot)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def command_one(self, request: web.Request) -> web.Response:
        """Start, stop or restart the bot that the path names."""
        return await self._command(Verb(request.match_info["verb"]), [request.match_info["bot"]])

    async def command_many(self, request: web.Request) -> web.Response:
        """Start, stop or restart several bots, or none if one of the names is unknown."""
        wish = await read_body(request, CommandRequest)
        return await self._command(wish.verb, wish.bots)

    async def reload(self, request: web.Request) -> web.Response:
        """Take the configuration as it is now into use, or say what that would do."""
        wish = await read_body(request, ReloadRequest)
        return json_answer(await self._master.reload(dry_run=wish.dry_run))

    async def restart(self, _request: web.Request) -> web.Response:
        """Begin a hot restart; answers when it is sure that the next master can take over, or will."""
        return json_answer(await self._master.restart(), 202)

    async def drop_orphan(self, request: web.Request) -> web.Response:
        """Purge what is kept of a bot that is not configured."""
        wish = await read_body(request, OrphanRequest)
        return json_answer(CountAnswer(await self._master.drop_orphan(wish.telegram_id)))

    async def stop(self, _request: web.Request) -> web.Response:
        """Begin the graceful stop of the master; answers at once."""
        self._master.request_stop()
        return json_answer(StopAnswer(os.getpid(), self._stop_timeout_s), 202)

    async def _command(self, verb: Verb, bots: Sequence[str] | None) -> web.Response:
        if bots is not None:
            known = [worker.bot_id for worker in self._master.status().workers]
            if problem := unknown_names(bots, known):
                raise RefusedError(404, problem)
            bots = list(dict.fromkeys(bots))
        return json_answer(CommandAnswer(await self._master.command(verb, bots)))

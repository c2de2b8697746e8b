"""Answers the master's question whether this worker may sleep, and if it may, brings it to its end.

Runs in: worker.
"""

import asyncio
from contextvars import Context

from bot_worker.runtime.acknowledging import Acknowledger
from bot_worker.runtime.business import read_business
from bot_worker.runtime.dispatching import Dispatcher
from bot_worker.runtime.draining import Draining
from bot_worker.runtime.feeder import Feeder
from bot_worker.runtime.job_orders import JobOrders
from bot_worker.runtime.policy.consent import SAVING_FAILED, decide_refusal
from bot_worker.runtime.ports import Channel
from bot_worker.runtime.session import Session
from bot_worker.runtime.tracker import Tracker
from brama.messages import Dozing, StaysAwake
from brama.redaction import redact


class Sleeping:
    """Judges at the moment of the question, and again once all is saved.

    Between the last judgement and the closing of the feeder nothing else runs: an update is a reason to stay
    awake, or is given back.
    """

    def __init__(
        self,
        channel: Channel,
        session: Session,
        dispatcher: Dispatcher,
        tracker: Tracker,
        feeder: Feeder,
        orders: JobOrders,
        acknowledger: Acknowledger,
        draining: Draining,
    ) -> None:
        self._channel = channel
        self._session = session
        self._dispatcher = dispatcher
        self._tracker = tracker
        self._feeder = feeder
        self._orders = orders
        self._acknowledger = acknowledger
        self._draining = draining
        self._judging: asyncio.Task[None] | None = None

    def consider(self, *, unsafe: bool) -> None:
        """Answer soon; to be called in the bot's loop."""
        loop = asyncio.get_running_loop()
        self._judging = loop.create_task(self._answer(unsafe), name="brama: may sleep", context=Context())

    async def _answer(self, unsafe: bool) -> None:
        refusal = self._refusal(unsafe)
        if refusal is None:
            is_saved = await self._acknowledger.save()
            refusal = self._refusal(unsafe) if is_saved else SAVING_FAILED
        if self._session.draining:
            return
        if refusal is not None:
            self._channel.send(StaysAwake(redact(refusal)))
            return
        self._channel.send(Dozing())
        self._draining.begin()

    def _refusal(self, unsafe: bool) -> str | None:
        updates = len(self._tracker) + len(self._feeder)
        try:
            business = read_business(
                self._dispatcher.application, self._session.poller, updates, len(self._orders)
            )
        except Exception as error:  # the bot's own classes are asked whether they are empty
            return f"what it does cannot be seen: {type(error).__name__}"
        return decide_refusal(business, unsafe=unsafe)

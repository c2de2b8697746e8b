"""Wires the parts of one worker together.

Runs in: worker.
"""

from collections.abc import Callable
from typing import NoReturn

from bot_worker.runtime.acknowledging import Acknowledger
from bot_worker.runtime.bot_calls import BotCalls
from bot_worker.runtime.dispatching import Dispatcher
from bot_worker.runtime.draining import Draining
from bot_worker.runtime.error_handling import ErrorHandling
from bot_worker.runtime.feeder import Feeder
from bot_worker.runtime.heartbeat import Heartbeat
from bot_worker.runtime.job_orders import JobOrders
from bot_worker.runtime.job_results import Takers
from bot_worker.runtime.live_settings import LiveSettings
from bot_worker.runtime.notices import Notices
from bot_worker.runtime.outbox import Outbox
from bot_worker.runtime.pickle_files import PickleFiles
from bot_worker.runtime.ports import Channel
from bot_worker.runtime.saving import Saving
from bot_worker.runtime.session import Parts, Session
from bot_worker.runtime.sleeping import Sleeping
from bot_worker.runtime.tracker import Tracker
from brama.ids import telegram_id_of
from brama.messages import (
    Boot,
    Deliver,
    Drain,
    EnqueueAgain,
    Enqueued,
    HeartbeatChanged,
    NotEnqueued,
    SettingsChanged,
    Sleep,
    ToWorker,
)

#: How long the last words of a worker may take to reach a busy master, seconds.
LAST_WORDS_S = 5.0


class Worker:
    """One bot's parts; ``end`` ends the process with an exit code."""

    def __init__(self, boot: Boot, channel: Channel, end: Callable[[int], NoReturn]) -> None:
        self._channel = channel
        self._end = end
        self.notices = Notices(channel)
        self.outbox = Outbox(channel)
        acknowledger = Acknowledger(self.outbox, self.notices)
        self.tracker = Tracker(acknowledger)
        self.feeder = Feeder(self.tracker, self.outbox)
        self.dispatcher = Dispatcher(self.tracker, self.feeder, Takers(self.notices))
        self.errors = ErrorHandling(self.tracker)
        self.files = PickleFiles(boot.bot_id)
        self.saving = Saving(acknowledger, self.files)
        self.calls = BotCalls(boot.token, boot.base_url, boot.identity, self.notices)
        self.settings = LiveSettings(boot.settings, self.notices)
        self.heartbeat = Heartbeat(
            channel, self.tracker, self.feeder, boot.generation, boot.heartbeat_interval_s
        )
        self.session = Session(
            Parts(
                channel=channel,
                acknowledger=acknowledger,
                calls=self.calls,
                dispatcher=self.dispatcher,
                feeder=self.feeder,
                heartbeat=self.heartbeat,
                settings=self.settings,
                end=self._end_now,
            )
        )
        self.session.on_messages = self.receive
        self.orders = JobOrders(channel, self.tracker, lambda: self.session.loop, telegram_id_of(boot.token))
        self.draining = Draining(self.session, self.tracker, self.feeder, acknowledger, self.outbox)
        self._sleeping = Sleeping(
            channel,
            self.session,
            self.dispatcher,
            self.tracker,
            self.feeder,
            self.orders,
            acknowledger,
            self.draining,
        )

    def receive(self, messages: list[ToWorker]) -> None:
        """Do what the master says."""
        for message in messages:
            match message:
                case Deliver():
                    self.feeder.deliver(message)
                case SettingsChanged(settings):
                    self.settings.change(settings)
                case HeartbeatChanged(interval_s):
                    self.heartbeat.change(interval_s)
                case Drain():
                    self.draining.begin()
                case Enqueued(n, job_id):
                    self.orders.accepted(n, job_id)
                case NotEnqueued(n, error):
                    self.orders.refused(n, error)
                case EnqueueAgain(ns):
                    self.orders.send_again(ns)
                case Sleep(unsafe):
                    self._sleeping.consider(unsafe=unsafe)
                case _:
                    pass
        self.feeder.fill()

    def say_last_words(self) -> None:
        """Write what the master was not told yet."""
        self.outbox.send()
        self._channel.detach()
        self._channel.flush(LAST_WORDS_S)

    def _end_now(self, code: int) -> NoReturn:
        self.say_last_words()
        self._end(code)

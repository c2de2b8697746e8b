"""Talks to each of the demo's bots, kills one in mid-conversation, and shows what they answered."""

import os
import select
import signal
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from brama.clock import monotonic_s
from sandbox.client import SandboxControl
from sandbox.demo.chat import Answer, Chat
from sandbox.demo.processes import DemoError, Supervisor
from sandbox.demo.project import SAMPLE_BOTS

_PATIENCE_S = 60.0
_PAUSE_S = 0.02


class Transcript:
    """Conversations as they are read: who, and what."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = max(len(bot.name) for bot in SAMPLE_BOTS)

    def title(self, name: str) -> None:
        """Begin the conversation with a bot."""
        self._console.print()
        self._console.print(Text(name, style="bold"))

    def person(self, text: str) -> None:
        """Show what the person wrote or pressed."""
        self._line("you", text, "cyan")

    def bot(self, name: str, answer: Answer) -> None:
        """Show what the bot wrote."""
        buttons = "".join(f"  [{label}]" for label in answer.buttons)
        self._line(name, answer.text + buttons, "green")

    def remark(self, text: str) -> None:
        """Show what happened meanwhile."""
        self._line("", text, "yellow")

    def _line(self, who: str, text: str, style: str) -> None:
        head = Text(f"  {who:<{self._width}}  ", style=style)
        body = Text(text, style=style if not who else "")
        # Wrapped below itself, so that names stand alone in their column.
        rows = body.wrap(self._console, max(self._console.width - len(head), 20))
        for row, line in enumerate(rows):
            self._console.print(Text.assemble(head if row == 0 else " " * len(head), line), soft_wrap=True)


class Play:
    """The conversations. ``supervisor`` runs the bots, ``control`` is the sandbox they are on."""

    def __init__(self, console: Console, control: SandboxControl, supervisor: Supervisor) -> None:
        self._transcript = Transcript(console)
        self._supervisor = supervisor
        self._chats = {bot.name: Chat(control, bot.number) for bot in SAMPLE_BOTS}

    def perform(self) -> None:
        """Talk to every bot. Raises DemoError if one of them does not answer."""
        self._greet()
        self._order_pizza()
        self._ask_for_a_reminder()
        self._ask_the_oracle()

    def _greet(self) -> None:
        self._transcript.title("greeter")
        self._say("greeter", "/start")
        self._say("greeter", "good morning")

    def _order_pizza(self) -> None:
        self._transcript.title("pizza")
        self._say("pizza", "/order")
        self._transcript.person("[Large]")
        self._chats["pizza"].press("Large")
        self._hear("pizza")
        self._kill_while_a_message_waits("pizza", "mushrooms")
        self._say("pizza", "12 Main Street")

    def _ask_for_a_reminder(self) -> None:
        self._transcript.title("reminder")
        self._say("reminder", "/in 1 take the tea out")
        self._hear("reminder")

    def _ask_the_oracle(self) -> None:
        self._transcript.title("oracle")
        self._say("oracle", "will it rain tomorrow?")
        asked_at_ms = monotonic_s() * 1000
        answer = self._hear("oracle")
        self._transcript.remark(
            f"answered {answer.at_ms - asked_at_ms:.0f} ms later, by a job in a process of its own: "
            "the bot was free for others meanwhile"
        )

    def _kill_while_a_message_waits(self, name: str, text: str) -> None:
        """Kill the bot's process while it has a message in hand; its next one must answer it."""
        before = self._wait_for(name, "is done with what it got", lambda worker: not worker["inbox"])
        pid = int(before["pid"])
        os.kill(pid, signal.SIGSTOP)
        self._chats[name].say(text)
        self._wait_for(name, "has a message in hand", lambda worker: bool(worker["inbox"]))
        killed_at_ms = monotonic_s() * 1000
        os.kill(pid, signal.SIGKILL)
        self._transcript.remark(f"process {pid} hangs; a message reaches it; then: kill -9 {pid}")
        self._transcript.person(text)
        answer = self._hear(name)
        after = self._wait_for(name, "runs again", lambda worker: worker["pid"] not in (None, pid))
        self._transcript.remark(
            f"answered by process {after['pid']}, {answer.at_ms - killed_at_ms:.0f} ms after the kill: "
            "neither the message nor the order was lost"
        )

    def _say(self, name: str, text: str) -> None:
        self._transcript.person(text)
        self._chats[name].say(text)
        self._hear(name)

    def _hear(self, name: str) -> Answer:
        answer = self._chats[name].answer(_PATIENCE_S)
        self._transcript.bot(name, answer)
        return answer

    def _wait_for(self, name: str, what: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = monotonic_s() + _PATIENCE_S
        while monotonic_s() < deadline:
            worker = self._supervisor.workers().get(name)
            if worker is not None and holds(worker):
                return worker
            select.select([], [], [], _PAUSE_S)
        raise DemoError(f"waited {_PATIENCE_S:g} s in vain until {name} {what}")

"""What strikes in a chaos run: SIGKILLs, and reloads of a changed configuration."""

from threading import Event

from benchmarks.play import Play
from benchmarks.processes import sigkill
from benchmarks.project import Bot
from benchmarks.verdict import Kill
from brama.errors import NoMasterError, UnreachableError
from brama.marks import ZYGOTE_TITLE

KILLS = frozenset({"worker", "zygote", "master"})
RELOADS = frozenset({"settings", "mode"})
#: Worker deaths are the common case; a master takes the longest to come back.
FAULTS = ("worker",) * 6 + ("zygote",) * 2 + ("master",) * 2 + ("settings",) * 1 + ("mode",) * 3
#: A strike comes into the middle of this many updates for one bot, after up to BURST_LEAD_S.
BURST = 30
BURST_LEAD_S = 0.06


def have_all_struck(play: Play) -> bool:
    """Return whether each kind of fault has happened."""
    return {kill.what for kill in play.kills} | play.reloads.keys() == set(FAULTS)


def strike(play: Play, fault: str) -> bool:
    """Let one fault happen while a bot is busy; return whether it could.

    Raises:
        RuntimeError: the master has ended by itself; the text is what it said.
    """
    if not play.peer.roots():
        raise RuntimeError(
            f"the master has ended: {(play.project.folder / 'output.log').read_text()[-2000:]}"
        )
    bot = play.dice.choice(play.project.bots)
    return _kill(play, bot, fault) if fault in KILLS else _reload(play, bot, fault)


def _kill(play: Play, bot: Bot, what: str) -> bool:
    """Kill one process. A killed master is started again at once, as an init does."""
    try:
        match what:
            case "worker":
                pid = play.peer.worker_pid(bot)
            case "zygote":
                pid = play.peer.pid_titled(ZYGOTE_TITLE)
            case _:
                [pid] = play.peer.roots()
    except LookupError:
        return False  # it is between two lives
    _keep_busy(play, bot)
    try:
        moment = play.peer.kill() if what == "master" else sigkill(pid)
    except ProcessLookupError:
        return False
    play.kills.append(Kill(what, bot.telegram_id if what == "worker" else None, moment))
    if what == "master":
        play.peer.start(play.project)
    return True


def _reload(play: Play, bot: Bot, what: str) -> bool:
    """Change the bot's settings, or the way its updates come, and have the master take that into use."""
    entry = play.entries[bot.name]
    if what == "mode":
        entry["mode"] = "polling" if entry["mode"] == "webhook" else "webhook"
    else:
        entry["settings"] = {"number": play.dice.randrange(10**9)}
    _keep_busy(play, bot)
    play.peer.configure(play.project, play.entries)
    try:
        result = play.client.reload(dry_run=False)
    except (NoMasterError, UnreachableError):
        return False  # it is between two lives, and the next one begins with the change
    if not any(touch.bot_id == bot.name for touch in result.bots):
        return False  # it began with the change
    play.reloads[what] += 1
    return True


def _keep_busy(play: Play, bot: Bot) -> None:
    play.send([bot] * BURST)
    Event().wait(play.dice.uniform(0.0, BURST_LEAD_S))

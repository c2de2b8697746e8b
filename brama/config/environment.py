"""Decides which variables a bot, or a job worker, is given."""

from collections.abc import Iterable, Mapping

from brama.config.overlay import is_withheld
from brama.config.settings import BotSettings


def bot_environment(bot: BotSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of ``bot``'s process.

    It is the master's, less every variable that some ``${...}`` of the configuration names and less what
    configures the master itself or is said to it by systemd; then the bot's own variables; then its token,
    where ``token_env`` asks.
    """
    inherited = inheritable(bot.withheld, environ)
    token = {bot.token_env: bot.token.get_secret_value()} if bot.token_env else {}
    return inherited | bot.env | token


def inheritable(withheld: frozenset[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a child process may have of the master's environment.

    Args:
        withheld: names of what is others', as ``withhold`` finds them.
        environ: the master's environment.
    """
    return {name: text for name, text in environ.items() if name not in withheld and not is_withheld(name)}


def withhold(
    bots: Iterable[BotSettings], named: frozenset[str], environ: Mapping[str, str]
) -> tuple[BotSettings, ...]:
    """Return ``bots`` with the names of the variables that hold what is not theirs, in one set for all.

    Args:
        bots: all that the master runs.
        named: variables that some ``${...}`` of the configuration names.
        environ: the master's environment; what holds a token is withheld under any name.
    """
    bots = tuple(bots)
    tokens = {bot.token.get_secret_value() for bot in bots} - {""}
    withheld = named | {name for name, text in environ.items() if text.strip() in tokens}
    return tuple(
        bot if bot.withheld == withheld else bot.model_copy(update={"withheld": withheld}) for bot in bots
    )

"""Makes up the environment that a bot is given."""

from collections.abc import Mapping

from brama.config.overlay import is_withheld
from brama.config.settings import BotSettings


def bot_environment(bot: BotSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of ``bot``'s process.

    It is the master's, less every variable that some ``${...}`` of the configuration names and less what
    configures the master itself; then the bot's own variables; then its token, where ``token_env`` asks.
    """
    inherited = {
        name: text for name, text in environ.items() if name not in bot.withheld and not is_withheld(name)
    }
    token = {bot.token_env: bot.token.get_secret_value()} if bot.token_env else {}
    return inherited | bot.env | token

"""What the platform's answer may hold: entries as in ``brama.yaml``, their text used as it is."""

from brama.config.fields import Secret
from brama.config.models import BotSection
from brama.config.section import Section


class PlatformBot(BotSection):
    """One bot, as the platform lists it; ${...} is not replaced in any value."""

    token: Secret | None = None
    """The token from @BotFather, itself."""


class PlatformAnswer(Section):
    """The whole answer."""

    bots: tuple[PlatformBot, ...]
    """All bots of the platform; one that is no longer listed is stopped."""

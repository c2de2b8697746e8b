"""What became of an update that was brought by webhook: the word between the webhook server and the inbox.

Runs in: master.
"""

from enum import StrEnum


class Arrival(StrEnum):
    """The fate of one delivered update."""

    #: A new row that is durable now.
    ACCEPTED = "accepted"
    #: Known by its update_id or dropped by the message window; that, too, is durable.
    DUPLICATE = "duplicate"
    #: No Update object: nothing was written.
    MALFORMED = "malformed"
    #: As many updates wait for the bot as ``delivery.max_backlog`` and ``max_backlog_size`` allow.
    FULL = "full"
    #: The commit failed, as on a full disk: nothing was written.
    UNWRITTEN = "unwritten"
    #: The bot is stopped or disabled, or the master is stopping: nothing was written.
    CLOSED = "closed"

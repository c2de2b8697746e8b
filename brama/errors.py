"""The error tree: flat, one class for each way out, the docstring being its meaning."""


class BramaError(Exception):
    """Something an operator can mend; the text is one line that says what, where and the way out."""


class ConfigError(BramaError):
    """The configuration is wrong; the text has one line for each thing that is."""


class StateError(BramaError):
    """A folder of ours cannot be used: corrupt, read-only, held by another instance, too new."""


class ProtocolError(BramaError):
    """The other end of a pipe sent something that is no message of ours; the connection is of no more use."""


class ZygoteError(BramaError):
    """The zygote could not be warmed or refused to fork."""


class NoMasterError(BramaError):
    """No master runs for this configuration."""


class UnreachableError(BramaError):
    """A master runs, and this command cannot talk to it: it is another user's, or it does not answer."""


class NotAcceptedError(BramaError):
    """A job was not taken over: there is no queue, or nothing that could store it."""

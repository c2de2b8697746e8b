"""Exit codes of the command and of workers, after sysexits.h where it has a name for the case."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a process of ours says by ending."""

    #: Done.
    OK = 0
    #: Failed; for ``status``: some wanted bot is neither RUNNING nor SLEEPING.
    FAILED = 1
    #: ``status``: no master runs for this configuration.
    NO_MASTER = 3
    #: The command line does not parse (EX_USAGE).
    USAGE = 64
    #: No master to talk to (EX_UNAVAILABLE).
    UNAVAILABLE = 69
    #: A worker could not reach the network while booting: try again later (EX_TEMPFAIL).
    TEMPORARY = 75
    #: The configuration, the entry point or the token is wrong: trying again changes nothing (EX_CONFIG).
    CONFIG = 78

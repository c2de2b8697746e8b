"""A script that never comes to its bot: its import holds the interpreter's lock for ever."""

import ctypes

ctypes.PyDLL(None).sleep(600)

"""Starts the zygote: ``python -m bot_worker FD``.

Runs in: zygote.
"""

import sys

from bot_worker.names import lay_out_names

if __name__ == "__main__":
    lay_out_names()  # before anything is imported that uses them
    from bot_worker.zygote import main

    sys.exit(main(sys.argv[1:]))

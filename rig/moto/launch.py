"""Starts moto's server on a port of loopback: `python launch.py PORT`.

Its standard input is a pipe of whoever starts it. The server ends as soon as that closes, so it
cannot outlive its starter, however that one ends.
"""

from __future__ import annotations

import os
import sys
import threading

from moto import server


def end_with_the_starter() -> None:
    """Ends this process once the pipe on standard input has no writer any more."""
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_starter, daemon=True).start()
    server.main(["-H", "127.0.0.1", "-p", sys.argv[1]])

"""A worker that was told to stop says so while it still answers."""

from __future__ import annotations

import asyncio
import signal
import threading


class Stopping:
    """Stands between SIGTERM and the server, which would close its socket at once.

    Attributes:
        begun: Whether the worker was told to stop: it is no longer ready, and still answers.
    """

    def __init__(self, drain_s: float) -> None:
        """`drain_s`: seconds between the signal and the server's own stop."""
        self._drain_s = drain_s
        self.begun = False

    def attend(self) -> None:
        """Take the signal over; called on the server's event loop, after the server has set its own handler."""
        server = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(server):
            return  # signals go elsewhere: a server inside another program
        loop = asyncio.get_running_loop()

        def begin(number: int, _: object) -> None:
            if not self.begun:
                self.begun = True
                loop.call_soon_threadsafe(loop.call_later, self._drain_s, server, number, None)

        signal.signal(signal.SIGTERM, begin)

"""Ctrl-C for child processes: what a shell runs in the background ignores it, and so would its children."""

from __future__ import annotations

import signal
from functools import partial

heed_interrupts = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
"""For `preexec_fn`."""

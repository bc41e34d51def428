"""Speed on this machine: the ops beside whatever peers are installed, and scoring."""

from __future__ import annotations

from dusnet.evaluation.speed.ops import FULL, of_size, time_ops
from dusnet.evaluation.speed.scoring import time_scoring
from dusnet.evaluation.speed.table import as_markdown, as_text

__all__ = ["FULL", "as_markdown", "as_text", "of_size", "time_ops", "time_scoring"]

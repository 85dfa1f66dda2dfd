"""From a result to a curated one: what to look at, what people said of it, learning on from that, and handing it on."""

from kpl.curation.auditing import Audit, audit
from kpl.curation.comparing import Comparison, compare_runs
from kpl.curation.exporting import FORMATS, Exported, export
from kpl.curation.learning import CorrectedKPL, Moved, learn
from kpl.curation.queue import REASONS, Queued, queue
from kpl.curation.searching import search

__all__ = [
    "FORMATS",
    "REASONS",
    "Audit",
    "Comparison",
    "CorrectedKPL",
    "Exported",
    "Moved",
    "Queued",
    "audit",
    "compare_runs",
    "export",
    "learn",
    "queue",
    "search",
]

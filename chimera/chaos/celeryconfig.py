"""The Celery settings of a swarm under faults."""

import os

imports = ["chimera.chaos.skills"]

if os.environ.get("CHIMERA_CHAOS_WITHOUT"):
    import chimera.chaos.mutated  # noqa: F401  of every process, Judges too

"""Imported by the processes of a run that does without a guard: takes it away, as its import."""

import os

from chimera.chaos.mutations import Guard, take_away

take_away(Guard(os.environ["CHIMERA_CHAOS_WITHOUT"]))

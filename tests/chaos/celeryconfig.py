"""The Celery settings of the swarm whose failpoints act: in every process, so not as what `imports` names."""

import chimera.chaos.armed  # noqa: F401
import tests.integration.announced  # noqa: F401

imports = ["tests.chaos.skills"]

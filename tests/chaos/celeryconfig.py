"""The Celery settings of the swarm whose failpoints act."""

imports = ["tests.chaos.skills", "tests.integration.announced", "chimera.chaos.armed"]

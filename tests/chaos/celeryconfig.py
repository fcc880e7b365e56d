"""The Celery settings of the swarm whose failpoints act."""

imports = ["tests.chaos.skills", "chimera.chaos.armed"]

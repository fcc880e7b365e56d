"""The Celery settings of a measured Chimera."""

imports = ["benchmarks.skills"]

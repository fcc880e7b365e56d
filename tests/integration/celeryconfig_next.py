"""The Celery settings of workers that are one deploy ahead of those of celeryconfig.py: they have a skill more."""

imports = ["tests.integration.skills", "tests.integration.next_skills"]

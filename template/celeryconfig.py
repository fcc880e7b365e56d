"""This project's Celery settings, over those that Chimera needs; each of its processes reads them."""

# The modules that declare skills and planners.
imports = ["skills"]

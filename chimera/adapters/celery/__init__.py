"""The queue: Celery, with a Redis-compatible broker."""

"""Sample jobs."""

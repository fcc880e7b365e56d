"""Processes without credentials, in which a worker has users' code run."""

"""Checkpoints sent to a web address."""

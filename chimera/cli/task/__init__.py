"""`chimera task`."""

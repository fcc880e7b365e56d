"""`chimera policy`."""

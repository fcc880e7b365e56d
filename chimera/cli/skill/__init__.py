"""`chimera skill` and `chimera planner`."""

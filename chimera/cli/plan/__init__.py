"""chimera plan."""

"""chimera review."""

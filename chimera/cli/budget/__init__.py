"""chimera budget."""

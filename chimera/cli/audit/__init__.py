"""chimera audit."""

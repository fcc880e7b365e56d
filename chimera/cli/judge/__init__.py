"""chimera judge."""

"""chimera up and down: the stack on this machine."""

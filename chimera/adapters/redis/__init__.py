"""Redis as a store of what may be lost."""

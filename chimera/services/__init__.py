"""One use case a file; what they need of the world comes through the constructor."""

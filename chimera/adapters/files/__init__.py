"""Keys and checkpoints in files."""

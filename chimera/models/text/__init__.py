"""Finding in texts what a gate asks about, however it is disguised."""

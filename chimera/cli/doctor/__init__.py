"""`chimera doctor`, a module for each thing that it looks at."""

"""Measurements: `./run bench NAME ...`. Each starts the servers that it needs and stops them."""

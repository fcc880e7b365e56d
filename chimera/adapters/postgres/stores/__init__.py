"""The stores, one for each port; none imports another."""

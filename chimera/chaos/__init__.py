"""Seeded random faults against a whole swarm, and the check that nothing was lost or done twice."""

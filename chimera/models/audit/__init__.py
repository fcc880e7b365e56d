"""The record of what happened: its chain, checkpoints, exports and proofs."""

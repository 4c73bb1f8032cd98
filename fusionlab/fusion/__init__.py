"""Fusion strategies: one file a strategy, in the folder of its level."""

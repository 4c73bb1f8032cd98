"""Judging scores: ranking metrics, classification metrics, significance."""

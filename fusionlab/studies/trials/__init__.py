"""Tuning at an equal budget: every row of a study gets the same number of trials."""

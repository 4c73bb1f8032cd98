"""Recommenders: user views x item views -> scores, with any fusion."""

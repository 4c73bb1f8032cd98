"""Readers, one file a published format; each registers itself in `DATASETS`."""

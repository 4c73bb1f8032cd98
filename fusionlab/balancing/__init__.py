"""Methods against modality imbalance."""

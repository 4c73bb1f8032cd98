"""Decision level: one view a modality; scores are combined (K = M)."""

"""Raw media in, item features out: one encoder a modality, its work kept in a store."""

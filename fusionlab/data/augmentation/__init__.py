"""What a training step changes of a modality, so that no step reads an item quite the same."""

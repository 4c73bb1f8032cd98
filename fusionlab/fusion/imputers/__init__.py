"""What stands in for the features of a modality that an item lacks."""

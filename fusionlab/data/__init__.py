"""Items, clicks and labels: the catalogue, its features, the splits and the readers."""

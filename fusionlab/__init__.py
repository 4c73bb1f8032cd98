"""fusionlab: multimodal recommendation in which the fusion strategy is the swappable part."""

__version__ = "0.1.0"

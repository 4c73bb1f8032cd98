"""Loss functions, negative sampling and the training loop."""

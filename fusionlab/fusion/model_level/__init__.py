"""Model level: modalities meet inside a network, token by token (K = 1)."""

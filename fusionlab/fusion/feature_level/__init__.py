"""Feature level: modalities become one vector before anything is scored (K = 1)."""

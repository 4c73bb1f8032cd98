"""The harness: latency, throughput, peak memory, FLOPs and energy of fusion strategies."""

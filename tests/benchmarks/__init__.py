"""Benchmarks: commands of their own, never timed tests. `make bench` runs them all, each once."""

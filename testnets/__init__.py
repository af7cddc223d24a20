"""Fake hosts and containers in namespaces: the labs our tests, the demo and the benchmarks run in."""

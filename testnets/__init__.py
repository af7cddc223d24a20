"""Fake hosts and containers in namespaces: where tests, demo and benchmarks take place."""

"""What is expected of a testnet, tried in its namespaces."""

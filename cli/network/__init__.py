"""`pynet network`: networks as runtimes find them on disk: made, looked at, checked, removed."""

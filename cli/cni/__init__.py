"""`pynet cni`: a network's plugins run as a container runtime runs them."""

"""pynet-agent: what has a life of its own after the answer, as services that it watches."""

"""`pynet install`: the plugins where runtimes look for them."""

"""One module a plugin: a configuration model and a pure function from request to plan."""

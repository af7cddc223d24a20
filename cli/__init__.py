"""`pynet`: one module a command, each imported when it is run."""

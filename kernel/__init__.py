"""Every system call: how each kind of resource is looked at, made, verified and removed."""

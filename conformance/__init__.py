"""What the CNI specification asks of a plugin, asked of any executable.

    calls       one execution of a plugin: what was sent, what was received
    verdicts    how a check ends
    subject     the plugin under test: its place in a network, its executable
    catalogue   sample networks of the plugins that are known by name
    checks      what a check is, and what comes of one
    scene       what a check works with, inside a fake host of a lab of its own
    traces      what is in a host and in a container: links, addresses, routes, rules, files
    judging     what must hold of any answer
    running     all checks of all plugins, each in a fresh host
    reports     TAP and JUnit
    families    the checks themselves, a module a family

A check sees nothing but what a runtime sees: environment, stdin, stdout, status, and the
kernel. So it holds for everybody's plugins.
"""

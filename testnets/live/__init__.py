"""A topology brought up in a lab: wires, addresses, services, containers."""

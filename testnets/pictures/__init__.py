"""Topologies as pictures: SVG laid out by us, Mermaid, DOT."""

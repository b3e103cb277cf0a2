"""Nodes: what they have, what a run asks of them, and what goes where."""

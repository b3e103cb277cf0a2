"""Clusters: the nodes, the resources of a run, and the placement of its actors."""

"""Planning of a run before anything starts: its resources, its placement, and whether it fits."""

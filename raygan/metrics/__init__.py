"""Metrics of generated samples: FD-clf, classes found, FID, mode coverage and more."""

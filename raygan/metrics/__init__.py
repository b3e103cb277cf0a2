"""How good generated samples are: FD-clf, classes found, FID, mode coverage."""

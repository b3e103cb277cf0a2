"""Differential privacy: the mechanism on updates, and the account of its epsilon."""

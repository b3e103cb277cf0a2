"""Secure aggregation: integers, masks that cancel in their sum, and shares of what unmasks it."""

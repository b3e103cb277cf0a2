"""Displays, pictures and pages of runs, made from run folders and independent of Ray."""

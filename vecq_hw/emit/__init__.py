"""Emitters: pure functions from (Network, Schedule, Vectors) to a Project."""

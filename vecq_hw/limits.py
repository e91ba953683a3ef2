"""Limits that the library checks and the command line states."""

MANTISSA_BITS = (4, 32)
"""The least and the most bits of a Rescale's mantissas that lowering takes, sign included."""

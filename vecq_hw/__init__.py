"""vecq-hw: PyTorch networks to low-bit hardware, the same integers all the way."""

__version__ = "0.1.0"

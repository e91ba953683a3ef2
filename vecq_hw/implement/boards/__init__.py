"""Boards, and the serial link between an accelerator on one and its host."""

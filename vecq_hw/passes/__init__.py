"""Passes: functions from Network to Network."""

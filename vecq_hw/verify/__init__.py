"""Run what was generated and compare it with the simulator, integer by integer."""

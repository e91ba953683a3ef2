"""From a generated project to a placed and routed design: synthesis, placement, timing, picture."""

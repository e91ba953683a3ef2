"""What the memories of units hold: weights in the order and the code in which they are read."""

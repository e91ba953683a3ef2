"""SystemVerilog of fully unrolled layers: adder graphs as text."""

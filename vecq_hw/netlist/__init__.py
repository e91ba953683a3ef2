"""What synthesis makes of generated SystemVerilog: the netlist as data, counted and simulated."""

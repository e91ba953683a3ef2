"""The test benches of generated projects, of the cells, and of the C++ behind DPI-C.

Every file here is copied into each generated project as it stands, so it imports its neighbours by
relative names, cocotb, and nothing else outside Python's own library.
"""

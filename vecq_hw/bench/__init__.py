"""cocotb parts for stream interfaces, used by rtl_tests/ and by every generated project."""

"""Every rule that a cell has for its parameters stops elaboration, with the rule and the value."""

import re
import subprocess
from pathlib import Path

import pytest

from rtl_tests.formal import attempt
from rtl_tests.test_lint import lint
from vecq_hw import assets
from vecq_hw.toolchain import simulation_environment

TOP = "rules"
# Cell, parameters that break one of its rules, what it says.
BROKEN: list[tuple[str, str, str]] = [
    ("add", "Lanes=0", "Operands (2) and Lanes (0) must be at least 1"),
    ("add", "SumBits=0", "ElementBits (8) and SumBits (0) must be at least 1"),
    (
        "add",
        "OperandBits=64'h9_0000_0008,AllBits=17",
        "OperandBits 0000000900000008 of OperandSigned 00 are at least 1 and fit ElementBits (8)",
    ),
    ("add", "AllBits=15", "AllBits (15) must be the sum of OperandBits (16)"),
    ("add", "Subtract=1,Operands=3", "with Subtract, Operands (3) must be 2"),
    ("adder", "LogicBits=0", "PlainBits (8), LogicBits (0) and SumBits (9) must be at least 1"),
    ("adder_tree", "Terms=0", "Terms (0) and TermBits (8) must be at least 1"),
    ("adder_tree", "SumBits=5", "SumBits (5) must not be less than TermBits (8)"),
    ("argmax", "Elements=6,Lanes=4", "Lanes (4) must divide Elements (6)"),
    ("argmax", "Elements=-2", "Elements (-2) and ElementBits (8) must be at least 1"),
    (
        "base_serial",
        "Passes=0",
        "Words (1), GroupWords (1) and Passes (0) must be at least 1",
    ),
    ("base_serial", "InputBits=0", "Simd (1) and InputBits (0) must be at least 1"),
    (
        "base_serial",
        "CoordinateBits=0",
        "CoordinateBits (0) and AccumulatorBits (16) must be at least 1",
    ),
    ("base_serial", "Outputs=8,Pe=3", "Pe (3) must divide Outputs (8)"),
    ("base_serial", "Words=8,GroupWords=3", "GroupWords (3) must divide Words (8)"),
    (
        "base_serial",
        "Words=65536,GroupWords=65536,Passes=32768",
        "a frame must have fewer than 2^31 steps, not 32768 * 65536",
    ),
    ("code_book", "Steps=0", "Steps (0), Pe (1) and Simd (1) must be at least 1"),
    (
        "code_book",
        "WeightBits=0",
        "WeightBits (0), StageLanes (8) are at least 1, BookWords (2) 2",
    ),
    ("code_book", "Registers=-1", "Registers (-1) must be at least 0"),
    ("code_book", "Simd=6,BookLanes=4", "BookLanes (4) must divide Simd (6), or Simd BookLanes"),
    (
        "code_book",
        "Steps=3,BookLanes=2",
        "Steps (3) must be a multiple of the parts of a word (2)",
    ),
    ("carry_adder", "SumBits=0", "SumBits (0) must be at least 1"),
    ("carry_adder", "PlainBits=0", "PlainBits (0) and LogicBits (8) must be at least 1"),
    ("concat", "WordBits=0", "Operands (2) and WordBits (0) must be at least 1"),
    ("concat", "Lead=2", "Lead (2) must be at least 0 and below Operands (2)"),
    (
        "concat",
        "Turns=64'h3_0000_0000",
        "each operand must have 1 to 2^31 - 1 Turns, not 0000000300000000",
    ),
    ("constant", "Words=0", "Words (0) and WordBits (8) must be at least 1"),
    ("fifo", "ElementBits=0", "LanesIn (1), LanesOut (1) and ElementBits (0) must be at least 1"),
    (
        "fifo",
        "LanesIn=4,LanesOut=6,Capacity=15",
        "Capacity (15) must be a multiple of the lanes' common divisor (2)",
    ),
    (
        "fifo",
        "LanesIn=4,LanesOut=6,Capacity=8",
        "Capacity (8) must be at least LanesIn + LanesOut (10)",
    ),
    ("embedding", "Folds=0", "Rows (1), Folds (0) and IndexBits (1) must be at least 1"),
    ("gate_products", "SumBits=0", "InputBits (16) and SumBits (0) must be at least 1"),
    (
        "gate_products",
        "OffsetBits=0",
        "MantissaXBits (18), MantissaHBits (18), OffsetBits (0) below 1",
    ),
    ("gate_products", "TotalBits=20", "TotalBits (20) must be OffsetBits (32) to 64"),
    ("gru", "Shift=14", "Shift (14) must be 15 to 62"),
    (
        "gru",
        "Shift=40",
        "TotalBits (40) must hold PartOffsetBits (32) and Shift + 10 (50)",
    ),
    ("lstm", "Shift=63", "Shift (63) must be 1 to 62"),
    (
        "state_product",
        "Length=0",
        "Elements (1), Gates (4) and Length (0) must be at least 1",
    ),
    ("state_product", "Lead=1", "Lead (1) must be at least 2"),
    ("state_product", "SumBits=0", "WeightBits (2) and SumBits (0) must be at least 1"),
    ("state_product", "Elements=6,Simd=4", "Simd (4) must divide Elements (6)"),
    ("state_product", "Elements=6,Pe=5", "Pe (5) must divide Gates * Elements (24)"),
    ("counter", "Count=0", "Start (0) must be 0 to Count - 1 (-1)"),
    ("counter", "Count=3,Start=3", "Start (3) must be 0 to Count - 1 (2)"),
    ("fork", "Outputs=0", "Outputs (0) and WordBits (8) must be at least 1"),
    ("frame_end", "Words=0", "Words (0) must be at least 1"),
    ("frame_guard", "Words=0", "Words (0) and DataBits (8) must be at least 1"),
    ("frame_width", "Elements=-2", "Elements (-2) and LanesIn (1) must be at least 1"),
    ("frame_width", "LanesIn=0", "Elements (1) and LanesIn (0) must be at least 1"),
    ("frame_width", "ElementBits=0", "LanesOut (1) and ElementBits (0) must be at least 1"),
    ("frame_buffer", "Words=0", "Words (0) and WordBits (8) must be at least 1"),
    ("gather_sum", "Folds=0", "Positions (1), Folds (0) and Entries (1) must be at least 1"),
    ("gather_sum", "Lanes=0", "Lanes (0) and ElementBits (8) must be at least 1"),
    ("gather_sum", "ShiftBits=-1", "SumBits (8) must be at least 1 and ShiftBits (-1) at least 0"),
    ("group_buffer", "Taps=0", "Taps (0) and BlockWords (1) must be at least 1"),
    ("group_buffer", "WordBits=0", "Replays (1) and WordBits (0) must be at least 1"),
    ("group_buffer", "Blocks=1", "Blocks (1) must be at least 2 (one: vecq_replay_buffer)"),
    ("lookup", "OutputBits=0", "Channels (1) and OutputBits (0) must be at least 1"),
    ("lookup", "InputBits=13", "InputBits (13) must be 1 to 12"),
    ("lookup", "Channels=8,Lanes=3", "Lanes (3) must divide Channels (8)"),
    (
        "matrix_vector",
        "Registers=0",
        "Rows (4) and Registers (0) must be at least 1, QuadRows have 2",
    ),
    ("matrix_vector", "Taps=0", "Taps (0) and WeightBits (2) must be at least 1"),
    ("matrix_vector", "InputBits=0", "InputBits (0) and AccumulatorBits (16) must be at least 1"),
    ("matrix_vector", "Inputs=8,Simd=3", "Simd (3) must divide Inputs (8)"),
    ("matrix_vector", "Simd=0", "Simd (0) must divide Inputs (1)"),
    ("matrix_vector", "Pe=0", "Pe (0) must divide Outputs (1)"),
    ("matrix_vector", "Outputs=8,Pe=3", "Pe (3) must divide Outputs (8)"),
    ("matrix_vector", "Outputs=8,Groups=3", "Groups (3) must divide Outputs (8)"),
    (
        "matrix_vector",
        "Outputs=12,Groups=3,Pe=6",
        "Pe (6) must divide a group's outputs (4), or they Pe",
    ),
    (
        "matrix_vector",
        "Outputs=2,Groups=2,Inputs=6,Taps=3,Simd=3",
        "with Groups, Taps * Simd (9) must divide Inputs (6)",
    ),
    (
        "matrix_vector",
        "QuadRows=1,TwosComplement=1",
        "QuadRows (1) are for odd weights, not TwosComplement (1)",
    ),
    (
        "matrix_vector",
        "Popcount=1",
        "Popcount is of unsigned InputBits (8), odd WeightBits (2) of 1",
    ),
    (
        "matrix_vector",
        "BookWords=4",
        "BookWords (4) need TwosComplement (0), no BitSerial (0)",
    ),
    (
        "matrix_vector",
        "Inputs=65536,Outputs=32768",
        "a frame must have fewer than 2^31 steps, not 65536 * 32768",
    ),
    ("multiply", "ProductBits=0", "Lanes (1) and ProductBits (0) must be at least 1"),
    ("multiply", "RightBits=0", "LeftBits (8) and RightBits (0) must be at least 1"),
    ("multiply", "Positions=0", "Words (1) and Positions (0) must be at least 1"),
    ("pair_row_array", "Pe=0", "Pe (0) and Simd (2) must be at least 1"),
    ("pair_row_array", "InputBits=0", "WeightBits (2) and InputBits (0) must be at least 1"),
    ("pair_row_array", "SumBits=0", "SumBits (0) and Rows (4) must be at least 1"),
    ("pair_sums", "Registers=-1", "Registers (-1) must be at least 0"),
    ("pair_sums", "InputBits=0", "Simd (2), InputBits (0) and Rows (4) must be at least 1"),
    ("partial_sums", "Words=6,Taps=4", "Taps (4) * Groups (1) must divide Words (6)"),
    ("partial_sums", "InputBits=0", "WeightBits (8) and InputBits (0) must be at least 1"),
    ("partial_sums", "AccumulatorBits=0", "AccumulatorBits (0) must be at least 1"),
    ("partial_sums", "Outputs=8,Pe=3", "Pe (3) must divide the outputs (8) of each of 1 groups"),
    ("partial_sums", "Simd=6,BookLanes=4", "BookLanes (4) must divide Simd (6)"),
    ("partial_sums", "BookWords=6", "BookWords (6) must be a power of two"),
    (
        "partial_sums",
        "Words=65536,Outputs=32768",
        "a frame must have fewer than 2^31 steps, not 65536 * 32768",
    ),
    ("pipeline_end", "DataBits=0", "DataBits (0) must be at least 1"),
    ("pipeline_end", "Words=3", "Words (3) must be 1 or 2"),
    ("plane_sum", "SumBits=0", "Planes (2), PlaneBits (8) and SumBits (0) must be at least 1"),
    ("pool", "Lanes=0", "Lanes (0), ElementBits (8) and OutputBits (8) must be at least 1"),
    ("pool", "OutputBits=7", "OutputBits (7) must not be less than ElementBits (8) of a maximum"),
    (
        "pool",
        "Height=4,Width=4,KernelRows=2,KernelColumns=2,PaddingTop=2",
        "a window of a maximum holds nothing of the image: padding 2/0/0/0",
    ),
    (
        "popcount_array",
        "Pe=0",
        "Pe (0), Simd (2) and SumBits (6) must be at least 1",
    ),
    ("quad_row_array", "Pe=0", "Pe (0) and Simd (2) must be at least 1"),
    ("quad_row_array", "InputBits=0", "WeightBits (2) and InputBits (0) must be at least 1"),
    ("quad_row_array", "SumBits=0", "SumBits (0) must be at least 1, Registers (0) 0"),
    ("reorder", "WordBits=0", "Words (1), up to 2^28, and WordBits (0) must be at least 1"),
    ("reorder", "Slots=6", "Slots (6) must be a power of two, at least 2"),
    (
        "reorder",
        "Axes=2,Sizes=64'h2_0000_0000",
        "each of Axes (2) must have 1 to 2^31 - 1 places, not 0000000200000000",
    ),
    ("replay_buffer", "WordBits=0", "Words (1), Replays (1) and WordBits (0) must be at least 1"),
    ("rescale", "AccumulatorBits=0", "Channels (1) and AccumulatorBits (0) must be at least 1"),
    ("rescale", "OffsetBits=0", "MantissaBits (18) and OffsetBits (0) must be at least 1"),
    ("rescale", "Lanes=0", "Lanes (0) must divide Channels (1)"),
    ("rescale", "Channels=8,Lanes=3", "Lanes (3) must divide Channels (8)"),
    ("rescale", "Shift=63", "Shift (63) must be 1 to 62"),
    ("rescale", "Classes=0", "Classes (0) and Positions (1) must be at least 1"),
    ("rescale", "Lo=64'sd9,Hi=64'sd8", "Lo (9) must not exceed Hi (8)"),
    ("rescale", "OutputBits=7", "OutputBits (7), 1 to 63, must hold Lo (0) and Hi (255)"),
    ("rescale", "Lo=-64'sd1", "OutputBits (8), 1 to 63, must hold Lo (-1) and Hi (255)"),
    (
        "rescale_serial",
        "Channels=-1",
        "Channels (-1) and AccumulatorBits (16) must be at least 1",
    ),
    ("rescale_serial", "RestBits=0", "MantissaBits (16) and RestBits (0) must be at least 1"),
    ("rescale_serial", "Channels=8,Lanes=3", "Lanes (3) must divide Channels (8)"),
    ("rescale_serial", "Turns=0", "Turns (0) must be 1 to Lanes (1)"),
    ("rescale_serial", "Channels=8,Lanes=4,Turns=5", "Turns (5) must be 1 to Lanes (4)"),
    ("rescale_serial", "Shift=63", "Shift (63) must be 1 to 62"),
    ("rescale_serial", "Shift=1,AccumulatorBits=49", "SumBits (65) must be at most 64"),
    (
        "rescale_serial",
        "CarryChoice=1,Ready=1",
        "CarryChoice (1) and Ready (1) are for different devices",
    ),
    ("rescale_serial", "Lo=64'sd9,Hi=64'sd8", "Lo (9) must not exceed Hi (8)"),
    ("rescale_serial", "OutputBits=7", "OutputBits (7), 1 to 63, must hold Lo (0) and Hi (255)"),
    ("rom", "Words=0", "Words (0), WordBits (8), Bits (8) and Ports (1) must be at least 1"),
    ("rom", "Registers=-1", "Registers (-1) must be at least 0"),
    ("rom", "First=4,Bits=5", "bits 4 to 8 must lie within WordBits (8)"),
    ("stream_register", "DataBits=0", "DataBits (0) must be at least 1"),
    ("stream_width", "ElementBits=0", "ElementBits (0) must be at least 1"),
    ("stream_width", "LanesIn=0", "LanesIn (0) and LanesOut (1) must be at least 1"),
    ("uart_receive", "ClocksPerBit=3", "ClocksPerBit (3) must be at least 4"),
    ("uart_send", "ClocksPerBit=0", "ClocksPerBit (0) must be at least 1"),
    ("uart_link", "WordsIn=0", "WordsIn (0) and WordsOut (1) must be at least 1"),
    ("uart_link", "BitsOut=12", "BitsIn (8) and BitsOut (12) must be whole bytes"),
    ("constant_multiplier", "InputBits=0", "InputBits (0) and FactorBits (8) must be at least 1"),
    ("table_multiplier", "LeftBits=0", "LeftBits (0) and RightBits (8) must be at least 1"),
    ("threshold", "InputBits=0", "Channels (1) and InputBits (0) must be at least 1"),
    ("threshold", "ThresholdBits=0", "ThresholdBits (0) must be at least 1"),
    ("threshold", "Channels=8,Lanes=3", "Lanes (3) must divide Channels (8)"),
    ("threshold", "CountBits=25,Hi=64'sd1", "CountBits (25) must be 0 to 24"),
    ("threshold", "Hi=64'sd4,OutputBits=3", "CountBits (2) must hold Hi - Lo (4)"),
    ("threshold", "Lo=64'sd3,Hi=64'sd2", "Lo (3) must not exceed Hi (2)"),
    ("threshold", "OutputBits=1", "OutputBits (1), 1 to 63, must hold Lo (0) and Hi (3)"),
    ("topk", "Channels=-1", "Channels (-1) and ElementBits (8) must be at least 1"),
    ("topk", "Count=3", "Count (3) must be 1 to Channels (2)"),
    ("upsample", "WordBits=0", "Width (1), Folds (1) and WordBits (0) must be at least 1"),
    ("upsample", "FactorRows=0", "FactorRows (0) and FactorColumns (2) must be at least 1"),
    ("window_buffer", "Height=0", "Height (0) and Width (1) must be at least 1"),
    ("window_buffer", "WordBits=0", "Folds (1) and WordBits (0) must be at least 1"),
    ("window_buffer", "KernelRows=0", "KernelRows (0) and KernelColumns (1) must be at least 1"),
    ("window_buffer", "StrideRows=0", "StrideRows (0) and StrideColumns (1) must be at least 1"),
    ("window_buffer", "StrideRows=-1", "StrideRows (-1) and StrideColumns (1) must be at least 1"),
    (
        "window_buffer",
        "DilationRows=0",
        "DilationRows (0) and DilationColumns (1) must be at least 1",
    ),
    (
        "window_buffer",
        "PaddingTop=-1,Height=9",
        "the padding -1/0/0/0 must not be negative",
    ),
    (
        "window_buffer",
        "Height=4,KernelRows=3,DilationRows=2",
        "the kernel is 5 rows high, but the image with its padding 4",
    ),
    (
        "window_buffer",
        "Width=2,KernelColumns=5,PaddingLeft=2",
        "the kernel is 5 columns wide, but the image with its padding 4",
    ),
    (
        "window_buffer",
        "PaddingTop=2,StrideRows=4",
        "no window reaches the image: padding 2/0, stride 4/1",
    ),
]


def source(index: int) -> str:
    """A module that holds the cell with the parameters that break its rule."""
    cell, given, _ = BROKEN[index]
    text = (assets.rtl() / f"vecq_{cell}.sv").read_text()
    files = [f'{name}="x.mem"' for name in re.findall(r"parameter +(\w*File)\b", text)]
    values = ", ".join(
        f".{name}({value})"
        for name, value in (item.split("=") for item in given.split(",") + files)
    )
    return f"module broken_{index};\n  vecq_{cell} #({values}) unit ();\nendmodule\n"


def test_every_rule_is_broken_here() -> None:
    rules = [
        (path.stem, re.sub(r"%0?\w", "(.*)", re.escape(message).replace("%0d", "%d")))
        for path in assets.rtl().glob("vecq_*.sv")
        if path.stem != "vecq_stream_rules"
        for message in re.findall(r'\$error\("\w+: ([^"]*)"', path.read_text())
    ]
    assert len(rules) > 70
    for cell, pattern in rules:
        said = [text for name, _, text in BROKEN if f"vecq_{name}" == cell]
        assert any(re.fullmatch(pattern, text) for text in said), (cell, pattern)


@pytest.mark.needs_verilator
def test_a_broken_rule_is_said_with_the_value(tmp_path: Path) -> None:
    modules = "".join(map(source, range(len(BROKEN))))
    units = "".join(f"  broken_{index} broken_{index}_unit ();\n" for index in range(len(BROKEN)))
    (tmp_path / f"{TOP}.sv").write_text(f"{modules}module {TOP};\n{units}endmodule\n")
    cells = sorted(map(str, assets.rtl().glob("*.sv")))
    options = ("-Wno-fatal", "-Wno-lint", "--error-limit", "1000")
    said = lint(tmp_path, *options, *cells, f"{TOP}.sv", "--top-module", TOP)
    found = set(re.findall(r"%Warning-USERERROR:[^\n]*?: (vecq_\w+: [^\n]*)\n", said))
    for cell, given, message in BROKEN:
        assert f"vecq_{cell}: {message}" in found, (cell, given, message)


@pytest.mark.needs_verilator
def test_a_broken_rule_ends_elaboration() -> None:
    command = ["verilator", "--lint-only", "-F", "vecq.f", "--top-module", "vecq_frame_end"]
    for words, status in ((0, 1), (1, 0)):
        done = subprocess.run(
            [*command, f"-GWords={words}"],
            cwd=assets.rtl(),
            env=simulation_environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == status


@pytest.mark.needs_yosys
def test_yosys_stops_at_a_broken_rule() -> None:
    index = next(n for n, (cell, _, _) in enumerate(BROKEN) if cell == "fifo")
    files = {f"cells/{path.name}": path.read_text() for path in assets.rtl().glob("*.sv")}
    commands = ["read_verilog -sv cells/*.sv broken.sv", f"hierarchy -top broken_{index}"]
    failed, output = attempt({**files, "broken.sv": source(index)}, commands)
    assert failed
    assert "ERROR:vecq_fifo: LanesIn" in output

"""What passes through a cell within a cycle, from valid_i and ready_i: the README's table."""

import re
from collections import defaultdict
from collections.abc import Mapping

from rtl_tests.test_lint import PARAMETERS
from vecq_hw import assets
from vecq_hw.emit.systemverilog.cells import with_inner
from vecq_hw.netlist import yosys
from vecq_hw.netlist.model import Bit, Netlist, read_json

STARTS, ENDS = ("valid_i", "ready_i"), ("valid_o", "ready_o")
MEMORY = "some.mem"
REGISTERS = re.compile(r"\$_?(s|a|al)?dff|\$memwr|\$mem_|\$scopeinfo", re.IGNORECASE)


def netlists() -> dict[str, list[Netlist]]:
    """The netlists of each cell that gives a stream: with its defaults, and its other branches."""
    sources = {path.stem: path.read_text() for path in sorted(assets.rtl().glob("*.sv"))}
    files: dict[str, str] = {MEMORY: "0\n"}
    commands, results = [], []
    for cell, text in sources.items():
        head = text.split("\n);")[0]
        if not re.search(r"^  input +logic\b.*\bready_i\b", head, re.MULTILINE) or "_o" not in head:
            continue
        memories = dict.fromkeys(re.findall(r"parameter +(\w*File)\b", head), f'"{MEMORY}"')
        for number, parameters in enumerate((memories, PARAMETERS[cell] | memories)):
            top = f"{cell}_{number}"
            files[f"{top}.sv"] = with_defaults(text, parameters)
            inner = [f"{name}.sv" for name in with_inner([cell]) if name != cell]
            commands += [
                *("design -reset", "read_verilog -lib +/ecp5/ccu2c_sim.vh"),
                *yosys.read_commands([*inner, f"{top}.sv"], cell),
                *("proc", "flatten -noscopeinfo", "opt_expr", "simplemap", "opt_expr", "opt_clean"),
                f"write_json {top}.json",
            ]
            results.append(f"{top}.json")
    files |= {f"{cell}.sv": text for cell, text in sources.items()}
    made = yosys.run(files, commands, results).files
    found = defaultdict(list)
    for name in results:
        cell = name.rpartition("_")[0]
        found[cell].append(read_json(made[name], cell))
    return found


def with_defaults(text: str, parameters: Mapping[str, int | str]) -> str:
    """A module with other defaults: yosys 0.70 fails where it derives some tops itself."""
    for name, value in parameters.items():
        default = rf"(parameter [^=\n]*\b{name})( +=.*?)?(?=,?\n)"
        text, times = re.subn(default, rf"\1 = {value}", text)
        assert times == 1, name
    return text


def paths(netlist: Netlist) -> set[tuple[str, str]]:
    """From which start to which end a signal passes without a register."""
    behind: dict[Bit, set[Bit]] = defaultdict(set)
    for cell in netlist.cells.values():
        if not REGISTERS.match(cell.type):
            inputs = {bit for _, bits in cell.inputs() for bit in bits}
            for _, bits in cell.outputs():
                for bit in bits:
                    behind[bit] |= inputs
    found = set()
    for end in ENDS:
        reached: set[Bit] = set()
        waiting = [*netlist.ports[end].bits] if end in netlist.ports else []
        while waiting:
            bit = waiting.pop()
            if bit not in reached:
                reached.add(bit)
                waiting += behind[bit]
        found |= {
            (start, end)
            for start in STARTS
            if start in netlist.ports and reached & {*netlist.ports[start].bits} - {"0", "1", "x"}
        }
    return found


def test_the_table_says_what_passes_through_each_cell_within_a_cycle() -> None:
    text = (assets.rtl() / "README.md").read_text()
    table = re.search(r"^\| Within a cycle \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert table is not None
    told: dict[tuple[str, ...], set[str]] = {}
    for line in table[0].strip().splitlines()[2:]:
        way, cells = line.strip("| ").split(" | ")
        told[tuple(re.findall(r"`(\w+)`", way))] = {*re.findall(r"`(vecq_\w+)`", cells)}
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for cell, made in netlists().items():
        for netlist in made:
            for start, end in paths(netlist):
                found[start, end].add(cell)
    assert found == told

"""The netlist of a network as a target: every vector, and netlists that are wrong are found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.shares import nightly
from vecq_hw import data
from vecq_hw.accelerator.dsps import with_dsps
from vecq_hw.emit.project import Vectors
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Input, Multiply, Rescale
from vecq_hw.lower import lower
from vecq_hw.netlist.families import GOWIN
from vecq_hw.netlist.model import Netlist, read_json
from vecq_hw.netlist.registers import with_block_registers
from vecq_hw.netlist.simulators import simulator_of
from vecq_hw.network import Network
from vecq_hw.schedule import Fabric, Schedule, default_schedule
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import build_model, fit, quantize_model
from vecq_hw.verify import netlist as target
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.targets import choose


def trained(kind: str) -> tuple[Network, IntArray]:
    """A network on the digits, a little trained, and the codes of all test images."""
    digits = data.load("digits")
    model = quantize_model(build_model(kind, digits.shape, digits.classes), 2, 8)
    fit(model, digits, epochs=2, progress=False)
    network = lower(model, digits.shape, name=f"digits_{kind}")
    return network, network_inputs(network, digits.x_test)


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("kind", "blocks"),
    [("mlp", {"MULT18X18D"}), nightly("cnn", {"MULT18X18D", "DP16KD"}, name="cnn")],
)
def test_the_netlist_of_the_digits_gives_every_output(kind: str, blocks, tmp_path: Path):
    network, x = trained(kind)
    schedule = with_dsps(network, replace(default_schedule(network), fabric=Fabric.ECP5))
    (row,) = verify(
        network, x, targets=choose(["netlist"]), folder=tmp_path, schedule=schedule
    ).rows
    assert (row.status, row.mismatches, row.message) == (Status.PASSED, 0, "")
    assert (row.vectors, row.outputs) == (len(x), 10 * len(x))
    assert row.distinct_outputs > 1000
    folder = tmp_path / "netlist"
    made = read_json((folder / target.NETLIST).read_text())
    assert blocks <= {*made.types}
    assert with_block_registers(made).removed == 0  # what was simulated is what is placed
    few(folder, network, x)
    for type_, field in (("LUT4", "INIT"), ("CCU2C", "INIT1"), ("TRELLIS_FF", "REGSET")):
        broken = found = 0
        for name in np.random.default_rng(0).permutation(
            [name for name, cell in made.cells.items() if cell.type == type_]
        )[:5]:
            broken += 1
            found += differs(changed(made, str(name), field), folder)
        # A bit of a table may be one that no image reaches.
        assert found >= (3 if field != "REGSET" else 0), (type_, broken, found)


def few(folder: Path, network: Network, x: IntArray) -> None:
    """Leave a few images of a project's vectors."""
    vectors = Vectors(inputs=x[:64], outputs=simulate(network, x[:64]))
    for name, text in vectors.files().items():
        (folder / name).write_text(text)


def changed(made: Netlist, name: str, field: str) -> Netlist:
    """With every bit of a table inverted, or a flip-flop that begins with the other value."""
    cell = made.cells[name]
    before = cell.parameters.get(field, "RESET")
    other = {"SET": "RESET", "RESET": "SET"}.get(before, before.translate({48: "1", 49: "0"}))
    cell = replace(cell, parameters={**cell.parameters, field: other})
    return replace(made, cells={**made.cells, name: cell})


def differs(made: Netlist, folder: Path) -> bool:
    try:
        found = target.simulated(made, folder)
    except VecqError:
        return True
    (outputs,) = found.values()
    wanted = np.loadtxt(folder / "vectors/outputs.txt", dtype=np.int64)
    return not np.array_equal(outputs, wanted)


@pytest.mark.needs_yosys
@pytest.mark.parametrize("fabric", [Fabric.ECP5, Fabric.LUT6], ids=str)
def test_multipliers_of_tables_give_the_products(fabric: Fabric, tmp_path: Path):
    """One cell multiplies two streams, one takes mantissas from a memory, one has a constant."""
    sources = (
        Input(name="left", shape=(6,), format=IntFormat(7, signed=True)),
        Input(name="right", shape=(6,), format=IntFormat(6, signed=False)),
    )
    rescale = Rescale(
        name="codes",
        input="product",
        mantissa=np.array([30000, -500, -20001, 9, 77, -32768]),
        offset=np.arange(6) - 3,
        shift=17,
        format=IntFormat(8, signed=True),
    )
    scaled = Rescale(
        name="scaled",
        input="codes",
        mantissa=np.full(6, -23171),
        offset=np.arange(6),
        shift=13,
        format=IntFormat(9, signed=True),
    )
    product = Multiply(name="product", inputs=("left", "right"))
    layers = (product, rescale, scaled)
    network = Network(name="net", inputs=sources, layers=layers, outputs=("scaled",))
    generator = np.random.default_rng(0)
    given = {
        source.name: generator.integers(source.format.lo, source.format.hi + 1, (200, 6))
        for source in sources
    }
    schedule = Schedule(folds={}, fabric=fabric, axis_bits=16)
    (row,) = verify(
        network, given, targets=choose(["netlist"]), folder=tmp_path, schedule=schedule
    ).rows
    assert (row.status, row.mismatches, row.message) == (Status.PASSED, 0, "")
    assert row.distinct_outputs > 100
    made = read_json((tmp_path / "netlist" / target.NETLIST).read_text())
    assert not any(type_.startswith(("MULT", "DSP")) for type_ in made.types)


def test_without_being_named_it_does_not_run():
    assert "netlist" not in [each.name for each in choose(None)]
    assert [each.name for each in choose(["netlist", "rtl"])] == ["netlist", "rtl"]


def test_families_without_models_of_their_cells_are_refused():
    netlist = Netlist(top="net", ports={}, cells={}, names={}, attributes={})
    with pytest.raises(VecqError, match=r"no models of the cells of Gowin .*, only of ecp5"):
        simulator_of(netlist, GOWIN, 1)


@pytest.mark.needs_yosys
def test_a_project_that_states_another_pace_or_does_not_build_is_an_error(tmp_path: Path):
    from tests.hls_networks import mlp

    network = mlp("net", 2).network()
    x = np.random.default_rng(0).integers(0, 256, (20, 24))
    given = target.TARGET.emit(
        network, default_schedule(network), Vectors(inputs=x, outputs=simulate(network, x))
    )
    given.write(tmp_path)
    manifest = tmp_path / "manifest.json"
    tree = json.loads(manifest.read_text())
    tree["cycles"]["frame_ends"][0] += 1
    manifest.write_text(json.dumps(tree))
    with pytest.raises(target.TargetError, match="ends frames in the cycles"):
        target.run(tmp_path)
    rtl = tmp_path / "rtl" / "vecq_rescale.sv"
    rtl.write_text(rtl.read_text().replace("endmodule", "endmodul"))
    with pytest.raises(target.TargetError, match=r"yosys: .*vecq_\w+.sv:\d+: syntax error"):
        target.run(tmp_path)

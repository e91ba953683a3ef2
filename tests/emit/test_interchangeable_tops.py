"""The tops that C++ and SystemVerilog have of one network and schedule carry the same words."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hls_networks import U8, Builder, Case
from tests.strategies import graphs, random_inputs, schedules
from vecq_hw.accelerator import plan
from vecq_hw.emit import hls, systemverilog
from vecq_hw.emit.project import Vectors
from vecq_hw.emit.words import pack_rows
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, Schedule
from vecq_hw.simulate import simulate
from vecq_hw.toolchain import AP_TYPES
from vecq_hw.verify import rtl


def stated_ends(files: dict[str, str]) -> tuple[object, object]:
    """Shape, format, lanes and word bits of both ends, as a project's bench reads them."""
    manifest = json.loads(files["manifest.json"])
    return manifest["input"], manifest["output"]


def port_bits(files: dict[str, str], top: str) -> list[int]:
    """The widths of the data ports."""
    return [int(bits) + 1 for bits in re.findall(r"\[(\d+):0\] [sm]_axis_tdata\b", top, re.I)]


def both_tops(network: Network, schedule: Schedule, vectors: Vectors):
    cxx = dict(hls.emit(network, schedule, vectors).files)
    verilog = dict(rtl.emit(network, schedule, vectors).files)
    (cxx_top,) = (text for name, text in cxx.items() if name.startswith("cosim/rtl/"))
    (rtl_top,) = (text for text in verilog.values() if "output logic m_axis_tvalid" in text)
    return (
        (stated_ends(cxx), port_bits(cxx, cxx_top)),
        (stated_ends(verilog), port_bits(verilog, rtl_top)),
    )


def joined() -> Case:
    """A Concat of operands of 4 and of 6 lanes, beside a layer that nothing reads."""
    net = Builder("joined", (2, 2, 2))
    net.conv(12, 2, (1, 1), fold=Fold(pe=4)).rescale(U8)
    first = len(net.layers) - 1
    net.branch(-1).conv(4, 2, (1, 1), fold=Fold(pe=4, simd=2)).branch(-1)
    net.conv(12, 2, (1, 1), fold=Fold(pe=6, simd=2)).rescale(U8)
    return net.concat(first).case(4)


def test_a_join_has_one_width_for_all_targets() -> None:
    case = joined()
    cxx, verilog = both_tops(case.network, case.schedule, case.vectors)
    assert cxx == verilog
    assert cxx[0][1]["lanes"] == 6
    assert cxx[1] == [8, 48]


def test_an_output_that_is_no_hardware_has_its_own_name_and_shape() -> None:
    case = (
        Builder("flat", (2, 2, 2)).conv(4, 2, (1, 1), fold=Fold(pe=4)).rescale(U8).flatten().case(4)
    )
    cxx, verilog = both_tops(case.network, case.schedule, case.vectors)
    assert cxx == verilog
    assert (cxx[0][1]["tensor"], cxx[0][1]["shape"]) == (case.network.outputs[0], [16])


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_ports_of_random_graphs_are_equal(data) -> None:
    network = data.draw(graphs())
    schedule = data.draw(schedules(network))
    x = random_inputs(network, 1, 0)
    if systemverilog.unsupported(network) is None:
        cxx, verilog = both_tops(network, schedule, Vectors(inputs=x, outputs=simulate(network, x)))
        assert cxx == verilog


MAIN = """
#include "src/joined.hpp"
#include <cstdio>
#include <iostream>
#include <string>
int main() {
  std::string text;
  while (std::cin >> text) { // a frame of words
    hls::stream<joined_input::Word> in("in");
    hls::stream<joined_output::Word> out("out");
    for (int word = 0; word < joined_input::words; ++word) {
      joined_input::Word x;
      x.data = ap_uint<joined_input::bits>(text.c_str(), 16);
      in.write(x);
      if (word < joined_input::words - 1) std::cin >> text;
    }
    joined(in, out);
    while (!out.empty()) {
      const joined_output::Word y = out.read();
      std::printf("%s %d\\n", y.data.to_string(16, false).c_str(), int(y.last));
    }
  }
}
"""


@pytest.mark.needs_cxx
def test_the_words_of_the_cxx_are_those_of_the_plan(tmp_path: Path) -> None:
    """What the bench of the RTL sends and expects, by :func:`pack_rows`, is what C++ takes."""
    case = joined()
    planned = plan(case.network, case.schedule)
    (entry,), (end,) = planned.inputs.values(), planned.outputs.values()

    def words(values, stream) -> list[int]:
        bits = case.network.tensors[stream.tensor].format.bits
        return pack_rows(values, stream.lanes, bits)

    hls.emit(case.network, case.schedule, case.vectors).write(tmp_path)
    (tmp_path / "main.cpp").write_text(MAIN)
    subprocess.run(
        [
            *("g++", "-std=c++17", "-Wno-unknown-pragmas", "-I", "include"),
            *("-isystem", str(AP_TYPES.find()), "main.cpp", "src/joined.cpp", "-o", "words"),
        ],
        cwd=tmp_path,
        check=True,
    )
    given = "\n".join(f"{word:x}" for word in words(case.vectors.inputs, entry))
    run = subprocess.run(["./words"], cwd=tmp_path, input=given, capture_output=True, text=True)
    got = [line.split() for line in run.stdout.splitlines()]
    expected = words(case.vectors.outputs, end)
    assert [int(word, 16) for word, _ in got] == expected
    assert [int(last) for _, last in got] == ([0] * (end.words - 1) + [1]) * len(
        case.vectors.inputs
    )

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.hls_networks import all_layers
from tests.hls_programs import compile_cxx
from vecq_hw import assets
from vecq_hw.emit import hls
from vecq_hw.toolchain import AP_TYPES


@pytest.mark.needs_cxx
def test_arithmetic_of_the_headers(tmp_path: Path) -> None:
    source = Path(__file__).parent / "test_arithmetic.cpp"
    vendor = ("-Wno-maybe-uninitialized", "-Wno-uninitialized")  # its default constructors
    compiled = compile_cxx(source, tmp_path / "test", "-O1", *vendor)
    assert compiled.returncode == 0, compiled.stderr
    result = subprocess.run([tmp_path / "test"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.needs_cxx
def test_headers_refuse_what_does_not_fit(tmp_path: Path) -> None:
    source = tmp_path / "wrong.cpp"
    wrong = {
        "vecq::IntFormat<64, true, 0, 0> a;": "1 to 63 bits",
        "vecq::IntFormat<4, true, 0, 8> b;": "does not lie within the bits",
        "vecq::Packing<33, 1, 1> c;": "codes of 1 to 32 bits",
        "vecq::MidRise<17> k;": "mid-rise weights have 1 to 16 bits",
        "vecq::TwosComplement<33> l;": "values have 1 to 32 bits",
        "vecq::Frame<vecq::IntFormat<8, true>, 10, 3> d;": "lanes must divide",
        "vecq::Frame<vecq::IntFormat<8, true>, 1024, 1024> e;": "too wide",
        "vecq::Window<vecq::Image<2, 2, 1>, vecq::Kernel<3, 3>, vecq::Stride<1, 1>,"
        " vecq::Padding<0, 0>> f;": "does not fit the padded image",
        "vecq::Padding<0, 0, -1, 0> m;": "padding is not negative",
        "vecq::Grouping<4, 6, 4, 1, 1> h;": "groups must divide the outputs",
        "vecq::Grouping<4, 6, 2, 4, 1> i;": "processing elements must divide",
        "vecq::Grouping<3, 6, 2, 1, 2> j;": "lanes must divide the channels of a group",
        "vecq::detail::OneShift<63> g;": "a shift is 1 to 62",
    }
    header = '#include "vecq/axis.hpp"\n#include "vecq/conv2d.hpp"\n#include "vecq/rescale.hpp"\n'
    source.write_text(header + "\n".join(wrong))
    compiled = compile_cxx(source, tmp_path / "test", "-fsyntax-only")
    assert compiled.returncode != 0
    for line, message in wrong.items():
        assert re.search(f"static assertion failed.*{message}", compiled.stderr), line


@pytest.mark.needs_cxx
@pytest.mark.skipif(shutil.which("clang++") is None, reason="clang++ is not installed")
def test_clang_takes_every_layer(tmp_path: Path) -> None:
    net = all_layers().case(4)
    hls.emit(net.network, net.schedule, net.vectors).write(tmp_path)
    make = ["make", "CXX=clang++", "CXXFLAGS=-O0", f"AP_TYPES={AP_TYPES.find()}"]
    made = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert "4 vectors, 12 outputs, 0 differences" in made.stderr


@pytest.mark.needs_cxx
def test_example_of_the_readme(tmp_path: Path) -> None:
    text = (assets.hls_include().parent / "README.md").read_text()
    example = re.search(r"```cpp\n(.*?)```", text, re.DOTALL)
    assert example is not None
    drive = """
    int main() {
      hls::stream<InputFrame::Word> s_axis;
      hls::stream<OutputFrame::Word> m_axis;
      InputFrame::Word word;
      word.data = 200 | 20 << 8;
      word.last = 1;
      s_axis.write(word);
      tiny(s_axis, m_axis);
      const int first = m_axis.read().data, second = m_axis.read().data;
      return first == 3 && second == 0 ? 0 : 1; // 300 * 140 / 2^14 = 2.6; negative
    }
    """
    (tmp_path / "example.cpp").write_text(example[1] + drive)
    compiled = compile_cxx(
        tmp_path / "example.cpp", tmp_path / "example", "-Wno-maybe-uninitialized"
    )
    assert compiled.returncode == 0, compiled.stderr
    assert subprocess.run([tmp_path / "example"]).returncode == 0

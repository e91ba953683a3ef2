"""The streams of quick programs do what those of the vendor's headers do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.hls_programs import QUICK, compile_cxx

PROGRAM = """
#include "vecq/stream.hpp"

using Word = vecq::Lanes<vecq::IntFormat<5, true>, 3>;

static void show(hls::stream<Word>& stream) {
  std::printf("%zu %d %d:", stream.size(), stream.empty(), stream.full());
  const Word word = stream.read();
  for (const int element : word.lane) {
    std::printf(" %d", element);
  }
  std::printf("\\n");
  std::fflush(stdout);
}

int main() {
  hls::stream<Word> stream("kept"), unnamed;
  for (int round = 0; round < 3; ++round) {
    for (int k = 0; k < 2 + round; ++k) {
      Word word;
      for (int lane = 0; lane < 3; ++lane) {
        word.lane[lane] = (7 * round + 5 * k + lane) % 16;
      }
      stream.write(word);
    }
    show(stream);
  }
  while (!stream.empty()) {
    show(stream);
  }
  show(stream);
  stream.write(Word());
  return unnamed.empty() ? 0 : 1;
}
"""


def printed(folder: Path, *flags: str) -> list[str]:
    """What the program prints with these flags."""
    (folder / "streams.cpp").write_text(PROGRAM)
    vendor = ("-Wno-maybe-uninitialized", "-Wno-uninitialized")  # its default constructors
    compiled = compile_cxx(folder / "streams.cpp", folder / "streams", *vendor, *flags)
    assert compiled.returncode == 0, compiled.stderr
    done = subprocess.run([folder / "streams"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.needs_cxx
def test_quick_streams_are_those_of_the_vendor(tmp_path: Path) -> None:
    lines = printed(tmp_path)
    assert printed(tmp_path, *QUICK) == lines
    assert lines[0] == "2 0 0: 0 1 2"
    assert len(lines) == 12
    assert lines[-3].startswith("0 1 0:WARNING: Hls::stream 'kept' is read while empty")
    assert lines[-2] == " 0 0 0"
    assert lines[-1].startswith("WARNING: Hls::stream 'kept' contains leftover data")

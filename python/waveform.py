"""Draw the waveform of one frame through a small generated RTL project.

Run it as ``python python/waveform.py PROJECT FILE.svg``, where PROJECT is what ``vecq emit rtl``
wrote of a network whose frames are one word in and one word out.  Verilator simulates the top
itself; every stream between its cells is drawn.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl
from matplotlib.figure import Figure

from vecq_hw.bench.ports import load_ports

project, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
mpl.rcParams["svg.hashsalt"] = "waveform"  # equal pictures have equal files
source, target = load_ports(project / "manifest.json")
(top,) = (path for path in (project / "rtl").glob("*.sv") if not path.name.startswith("vecq_"))
frame = [int(word) for word in (project / "vectors/inputs.txt").read_text().split("\n")[0].split()]
(word,) = source.pack(frame)
streams = re.findall(r"^  logic (\w+)_valid, \1_ready;", top.read_text(), re.MULTILINE)
shown = "".join(f", top.{name}_valid, top.{name}_data" for name in streams)
formats = "".join(" %b %h" for _ in streams)
bench = f"""
module bench;
  logic aclk = 0, aresetn = 0, s_axis_tvalid = 0, s_axis_tready, s_axis_tlast = 1;
  logic [{source.word_bits - 1}:0] s_axis_tdata = 0;
  logic m_axis_tvalid, m_axis_tready = 1, m_axis_tlast, frame_error;
  logic [{target.word_bits - 1}:0] m_axis_tdata;
  {top.stem} top (.*);
  always #5 aclk = ~aclk;
  always @(posedge aclk) if (aresetn)
    $display("cycle %b %h{formats} %b %h", s_axis_tvalid && s_axis_tready, s_axis_tdata{shown},
             m_axis_tvalid, m_axis_tdata);
  initial begin
    repeat (3) @(negedge aclk);
    aresetn = 1;
    @(negedge aclk);
    s_axis_tvalid = 1;
    s_axis_tdata = {source.word_bits}'h{word:x};
    @(negedge aclk);
    s_axis_tvalid = 0;
    @(posedge m_axis_tvalid);
    repeat (2) @(negedge aclk);
    $finish;
  end
endmodule
"""
with TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "bench.sv").write_text(bench)
    sources = [*sorted((project / "rtl").glob("vecq_*.sv")), top, folder / "bench.sv"]
    subprocess.run(
        ["verilator-cli", "--binary", "--timing", "-Wno-fatal", "--top-module", "bench",
         "--Mdir", folder / "built", *sources],
        check=True, stdout=subprocess.DEVNULL, cwd=project / "rtl",
    )  # fmt: skip
    done = subprocess.run(
        [folder / "built/Vbench"], check=True, capture_output=True, text=True, cwd=project / "rtl"
    )
rows = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("cycle")]

names = ["s_axis", *streams, "m_axis"]
figure = Figure(figsize=(9, 0.62 * len(names) + 0.9), layout="constrained")
axes = figure.subplots()
for place in range(len(names)):
    low = -1.6 * place
    valid = [int(row[2 * place]) for row in rows]
    times = [time for cycle in range(len(rows)) for time in (cycle, cycle + 1)]
    levels = [low + bit for bit in valid for _ in range(2)]
    axes.plot(times, levels, color="#0b5c8a", linewidth=1.4)
    for cycle, bit in enumerate(valid):
        if bit:
            data = int(rows[cycle][2 * place + 1], 16)
            width = 4 * len(rows[cycle][2 * place + 1])
            axes.annotate(
                f"{data:#0{2 + width // 4}x}", (cycle + 0.5, low + 1.06), ha="center", fontsize=8
            )
axes.set_yticks([0.4 - 1.6 * place for place in range(len(names))], names)
axes.set_xticks(range(len(rows) + 1))
axes.set_xlabel("clock cycle")
axes.set_ylim(-1.6 * (len(names) - 1) - 0.4, 1.7)
axes.grid(axis="x", alpha=0.3)
for side in ("top", "right", "left"):
    axes.spines[side].set_visible(False)
axes.tick_params(left=False)
figure.savefig(out, format="svg", metadata={"Date": None})

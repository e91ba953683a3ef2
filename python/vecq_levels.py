"""Where VecQ puts the levels of 1, 2 and 3 bits on the weights of a trained layer.

Run it as ``python python/vecq_levels.py [FOLDER]``; it trains the float MLP for the digits, writes
vecq_levels.svg to FOLDER (docs/explanation unless given), and prints the table of
docs/explanation/vecq.md.
"""

import io
import sys
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from vecq_hw import data
from vecq_hw.files import write_atomically
from vecq_hw.quantize import direct_quantization_loss, orientation_loss, vecq
from vecq_hw.train import build_model, fit

mpl.rcParams["svg.hashsalt"] = "vecq_levels"  # equal pictures have equal files
torch.manual_seed(0)
digits = data.load("digits")
model = build_model("mlp", digits.shape, digits.classes)
fit(model, digits, epochs=10, seed=0)
weights = next(layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)).weight
w = weights.detach().flatten()

figure = Figure(figsize=(9, 2.9), layout="constrained")
print("| bits | levels | share of each code | angle | square error |")
print("|---|---|---|---|---|")
for axes, bits in zip(figure.subplots(1, 3, sharey=True), (1, 2, 3), strict=True):
    codes, alpha = vecq(w, bits)
    values = alpha * (codes + 0.5)
    levels = sorted(set(values.tolist()))
    axes.hist(w.numpy(), 80, color="#b8c4cc")
    for level in levels:
        axes.axvline(level, color="#0b5c8a", linewidth=1.4)
    axes.set_title(f"{bits} bit{'s' if bits > 1 else ''}")
    axes.set_xlabel("weight")
    cosine = 1 - float(orientation_loss(w, values))
    angle = torch.rad2deg(torch.acos(torch.tensor(cosine)))
    shares = ", ".join(f"{100 * float((values == level).float().mean()):.0f}" for level in levels)
    error = float(direct_quantization_loss(w, values) / (w**2).sum())
    print(f"| {bits} | {len(levels)} | {shares} % | {angle:.1f}° | {100 * error:.1f} % |")
buffer = io.BytesIO()
figure.savefig(buffer, format="svg", metadata={"Date": None})
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs/explanation"
write_atomically(folder / "vecq_levels.svg", buffer.getvalue())

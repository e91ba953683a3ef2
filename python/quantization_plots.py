"""How far the Gaussian interval of VecQ is from the best one: two plots in one SVG, and a table.

Run it with ``python python/quantization_plots.py [FOLDER]``; it writes quantization.svg to FOLDER
(docs/explanation unless given) and prints the table of docs/explanation/quantization.md.
"""

import io
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt
from matplotlib import rcParams

from vecq_hw.files import write_atomically
from vecq_hw.quantize import (
    Distribution,
    best_lambda,
    expected_orientation_loss,
    gaussian_lambda,
    paper_lambda,
)

rcParams["svg.hashsalt"] = "vecq"  # the same file every time
BITS = range(1, 13)


def relative_error(interval: float, bits: int, of: Distribution) -> float:
    """The square error that is left, as part of the weights' squares: 1 - cos^2."""
    loss = expected_orientation_loss(interval, bits, of)
    return loss * (2 - loss)


figure, (losses, errors) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
intervals = [0.01 * step for step in range(2, 301)]
for bits in (1, 2, 3, 4, 6):
    curve = [expected_orientation_loss(interval, bits) for interval in intervals]
    (line,) = losses.plot(intervals, curve, label=f"{bits} bits" if bits > 1 else "1 bit")
    if bits > 1:
        best = gaussian_lambda(bits)
        losses.plot(best, expected_orientation_loss(best, bits), "o", color=line.get_color())
losses.set(xlabel="interval / spread", ylabel="orientation loss", yscale="log")
losses.set_title("Gaussian weights (Fig. 6 of the paper); dots: lambda")
losses.legend(fontsize="small")

for of, marker in zip(Distribution, ("o", "s", "^"), strict=True):
    ratios = [
        relative_error(gaussian_lambda(bits), bits, of)
        / relative_error(best_lambda(bits, of), bits, of)
        for bits in BITS
    ]
    errors.plot(BITS, ratios, marker=marker, label=f"{of.value} weights, exact Gaussian lambda")
paper = [
    relative_error(paper_lambda(bits), bits, Distribution.GAUSSIAN)
    / relative_error(gaussian_lambda(bits), bits, Distribution.GAUSSIAN)
    for bits in BITS
]
errors.plot(BITS, paper, "k--", label="gaussian weights, the paper's lambda")
errors.set(xlabel="bits", ylabel="square error / the least possible", yscale="log")
errors.set_title("What a lambda that does not fit costs")
errors.legend(fontsize="small")

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs/explanation"
buffer = io.BytesIO()
figure.savefig(buffer, format="svg", metadata={"Date": None})
write_atomically(folder / "quantization.svg", buffer.getvalue())

print("| bits | Gaussian | Laplace | uniform |")
print("|---|---|---|---|")
for bits in (1, 2, 3, 4, 6, 8):
    cells = [
        f"{relative_error(gaussian_lambda(bits), bits, of):.3g}"
        f" / {relative_error(best_lambda(bits, of), bits, of):.3g}"
        for of in Distribution
    ]
    print(f"| {bits} | {' | '.join(cells)} |")

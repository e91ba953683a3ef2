"""How much faster is the exact product on BLAS than NumPy's own integer product?

Both sides run in turns in one process; the ratio of the medians is what counts.

    python benchmarks/exact_matmul.py
"""

from __future__ import annotations

import json
import time

import numpy as np

from vecq_hw import exact_products

ROUNDS = 7


def main() -> None:
    """Print one JSON line: seconds and ratio."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (256, 1024))
    weights = 2 * rng.integers(-2, 2, (512, 1024)) + 1
    bound = exact_products.product_bound(weights, 255)

    seconds: dict[str, list[float]] = {"numpy_integer": [], "exact_matmul": []}
    for _ in range(ROUNDS):
        for name, product in (
            ("numpy_integer", lambda: x @ weights.T),
            ("exact_matmul", lambda: exact_products.exact_matmul(x, weights, bound)),
        ):
            start = time.perf_counter()
            result = product()
            seconds[name].append(time.perf_counter() - start)
            assert np.array_equal(result, x @ weights.T)
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    ratio = medians["numpy_integer"] / medians["exact_matmul"]
    print(json.dumps({"shape": [256, 1024, 512], "seconds": medians, "ratio": round(ratio, 1)}))


if __name__ == "__main__":
    main()

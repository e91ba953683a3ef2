"""Min-max quantization (Jacob et al., *Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference*, CVPR 2018), symmetric: the largest magnitude is the last code.
"""

from __future__ import annotations

import torch

from vecq_hw import arithmetic
from vecq_hw.formats import IntFormat, TwosComplement
from vecq_hw.quantize.weights import WeightQuantizer, beside, channel_rows


class MinMax(WeightQuantizer):
    """``step = max |w| / (2^(k-1) - 1)``, codes of both signs alike.

    Eq. 12 with a zero point of 0 and the lowest code left out (section 3.1 and appendix B there),
    so that the sums need no correction.
    """

    BITS = range(2, 17)

    @property
    def grid(self) -> TwosComplement:
        """The grid, of which the lowest code stays unused."""
        return TwosComplement(self.bits)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and step."""
        most = self.grid.code_format.hi
        rows = channel_rows(w, self.per_channel)
        peak = rows.abs().amax(1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny)
        step = peak / most
        codes = arithmetic.quantize(
            rows, step, IntFormat(self.bits, True, -most, most), floor=torch.floor_
        )
        return codes.reshape(w.shape), beside(step, w)

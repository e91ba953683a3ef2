"""Modules that torch.ao quantized, as torch.onnx writes them: every code is the file's."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tests.interop.onnx_graphs import by_network, by_onnxruntime, imported


def trained(steps: int = 20) -> tuple[nn.Module, torch.Tensor]:
    """A small CNN on noise; what it says does not matter."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    x = torch.rand(60, 2, 7, 6)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.arange(60) % 5).backward()
        optimizer.step()
    return model.eval(), x


def exported(model: nn.Module, x: torch.Tensor) -> bytes:
    written = io.BytesIO()
    torch.onnx.export(
        model, (x,), written, dynamo=False, opset_version=13,
        input_names=["x"], output_names=["y"], dynamic_axes={"x": [0]},
    )  # fmt: skip
    return written.getvalue()


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")  # torch.ao and this exporter are deprecated
@pytest.mark.parametrize("form", ["after training", "while training", "fake quantizers"])
def test_fx_graph_mode(form: str):
    from torch.ao.quantization import (
        FakeQuantize,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
        QConfig,
        QConfigMapping,
        disable_observer,
        get_default_qconfig_mapping,
    )
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx, prepare_qat_fx

    model, x = trained()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == "after training":
            prepared = prepare_fx(model, get_default_qconfig_mapping("x86"), (x,))
            prepared(x)
        else:
            codes = FakeQuantize.with_args(
                observer=MovingAverageMinMaxObserver,
                quant_min=0, quant_max=255, dtype=torch.quint8,
            )  # fmt: skip
            weights = FakeQuantize.with_args(
                observer=MovingAveragePerChannelMinMaxObserver,
                quant_min=-128, quant_max=127, dtype=torch.qint8,
                qscheme=torch.per_channel_symmetric,
            )  # fmt: skip
            mapping = QConfigMapping().set_global(QConfig(codes, weights))
            prepared = prepare_qat_fx(model.train(), mapping, (x,))
            prepared(x)
            prepared.eval().apply(disable_observer)
        quantized = prepared if form == "fake quantizers" else convert_fx(prepared)
        content = exported(quantized, x)
    made = imported(content)
    (end,) = made.report.outputs
    ends = (by_network(made, x.numpy()), by_onnxruntime(content, x.numpy()))
    # The file gives its codes times their step, in float32.
    given, wanted = (np.rint(one / end.step).astype(int) for (one,) in ends)
    assert np.array_equal(given, wanted), int((given != wanted).sum())
    assert len(np.unique(wanted)) > 10

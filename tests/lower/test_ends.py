"""Models with several inputs and outputs, from forward() to the integer network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError
from vecq_hw.layers import Flatten, Upsample2d
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.lower.dry_run import dry_run
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import calibrate, fit, predict, predict_all, quantize_model
from vecq_hw.train.several import named_outputs

SHAPES = {"image": (3, 8, 8), "vector": (5,)}


class Pair(NamedTuple):
    classes: torch.Tensor
    box: torch.Tensor


class Base(nn.Module):
    """An image and a vector, from the sum of whose features everything follows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image, self.vector = nn.Conv2d(3, 6, 3, stride=2), nn.Linear(5, 6)
        self.classes, self.box, self.deep = nn.Linear(6, 3), nn.Linear(6, 4), nn.Linear(3, 2)

    def forward(self, image: torch.Tensor, vector: torch.Tensor) -> object:
        x = F.relu(F.relu(self.image(image)).mean((2, 3)) + F.relu(self.vector(vector)))
        return self.outputs(x, image, vector)

    def outputs(self, x: torch.Tensor, image: torch.Tensor, vector: torch.Tensor) -> object:
        return self.classes(x), self.box(x)


class Dictionary(Base):
    """One key is the name of another layer, one that of the layer itself, one is none of either."""

    def outputs(self, x, image, vector):
        return {"box": self.classes(x), "deep": self.deep(F.relu(self.classes(x))), "the box": x}


class Named(Base):
    def outputs(self, x, image, vector):
        return Pair(self.classes(x), self.box(x))


class Shared(Base):
    """Sums that others read without their bias, and that are given twice."""

    def outputs(self, x, image, vector):
        scores = self.classes(x)
        return [scores, self.deep(F.relu(scores)), {"again": scores}, scores.argmax(1)]


class Passed(Base):
    def outputs(self, x, image, vector):
        return {"x": x, "vector": vector, "image": image, "again": image, "c": self.classes(x)}


OUTPUTS = {
    Base: ("output_0", "output_1"),
    Dictionary: ("box", "deep", "the_box"),
    Named: ("classes", "box"),
    Shared: ("output_0", "output_1", "output_2_again", "output_3"),
    Passed: ("x", "vector_output", "image_output", "again", "c"),
}


def batch(seed: int, count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, 3, 8, 8, generator=generator),
        torch.rand(count, 5, generator=generator),
    )


def quantized(kind: type[Base]) -> nn.Module:
    twin = quantize_model(kind(), 8, 8, input_shape=SHAPES).train()
    for seed in range(3):
        twin(*batch(seed))
    return twin.eval()


@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_output_of_the_network_is_that_of_the_model(kind: type[Base]) -> None:
    twin = quantized(kind)
    network = lower(twin, SHAPES)
    assert [source.name for source in network.inputs] == ["image", "vector"]
    assert network.outputs == OUTPUTS[kind]
    tensors = batch(0)
    x = tuple(tensor.numpy() for tensor in tensors)
    found = simulate(network, network_inputs(network, x))
    with torch.no_grad():
        wanted = named_outputs(twin(*tensors))
    for name, expected in zip(network.outputs, wanted.values(), strict=True):
        array = found[name] * network.tensors[name].step
        array = array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
        # A float that lies on an edge of two codes may be rounded the other way.
        off = np.abs(array - expected.numpy().reshape(array.shape)) > 1e-4
        assert off.reshape(len(off), -1).any(axis=1).sum() <= 2
    by_name = {"vector": x[1], "image": x[0]}
    assert prediction_differences(twin, network, by_name) == dict.fromkeys(network.outputs, 0)
    assert list(predict_all(twin, x)) == list(wanted)


def test_what_only_passes_is_a_layer_that_does_nothing() -> None:
    network = lower(quantized(Passed), [SHAPES["image"], SHAPES["vector"]])
    layers = {layer.name: layer for layer in network.layers}
    assert isinstance(layers["vector_output"], Flatten)
    for name in ("image_output", "again"):
        assert isinstance(layers[name], Upsample2d)
        assert layers[name].factor == (1, 1)


@pytest.mark.parametrize(
    "form",
    [
        lambda a, b, y: ((a, b), y),
        lambda a, b, y: [a, b, y],
        lambda a, b, y: (a, b),
        lambda a, b, y: {"vector": b, "image": a},
        lambda a, b, y: ({"vector": b, "image": a}, {"classes": y, "box": y}),
    ],
)
def test_batches_of_several_inputs_calibrate(form) -> None:
    loader = [form(*batch(seed), torch.zeros(64, dtype=torch.long)) for seed in range(2)]
    found = calibrate(Base(), loader)
    assert found.accuracy is None  # of two outputs nothing says whose the labels are
    network = lower(found.model, SHAPES)
    x = tuple(tensor.numpy() for tensor in batch(0))
    differing = prediction_differences(found.model, network, x)
    assert max(differing.values()) <= 1
    tried = dry_run(found.model, x)
    assert (tried.inputs[0].shape, tried.outputs) == ((8, 8, 3), network.outputs)


class OneScore(Base):
    def outputs(self, x, image, vector):
        return self.classes(x)


class Unread(Base):
    def forward(self, image, vector):
        return self.classes(F.relu(self.vector(vector)))


class Number(Base):
    def outputs(self, x, image, vector):
        return {"classes": self.classes(x), "loss": None}


def test_several_inputs_and_one_output_give_an_accuracy() -> None:
    loader = [(batch(seed), torch.zeros(64, dtype=torch.long)) for seed in range(2)]
    found = calibrate(OneScore(), loader)
    assert found.accuracy is not None
    network = lower(found.model, SHAPES)
    x = tuple(tensor.numpy() for tensor in batch(1))
    assert prediction_differences(found.model, network, x) == 0


def test_what_fits_no_input_or_output_is_refused_by_its_name() -> None:
    twin = quantized(Base)
    x = tuple(tensor.numpy() for tensor in batch(0))
    with pytest.raises(VecqError, match="takes 'image', which its output does not depend on"):
        quantize_model(Unread())
    with pytest.raises(VecqError, match="returns None as 'loss'; it must return one tensor, or"):
        quantize_model(Number())
    with pytest.raises(VecqError, match="takes 'image', 'vector', not 'image'"):
        lower(twin, {"image": (3, 8, 8)})
    with pytest.raises(VecqError, match="does not tell the shape of its input 'image'"):
        lower(twin)
    with pytest.raises(VecqError, match=r"the model takes 2 arrays \('image', 'vector'\), not one"):
        prediction_differences(twin, lower(twin, SHAPES), x[0])
    with pytest.raises(VecqError, match=r"takes 2 arrays .*, not one"):
        calibrate(Base(), [x[0]])
    one = quantize_model(nn.Linear(5, 3))
    one.train()(batch(0)[1])
    with pytest.raises(VecqError, match="the model gives the outputs output_0, output_1"):
        predict(_Two(one).eval(), x[1])


def test_fit_says_that_it_trains_classifiers_of_one_input_and_output() -> None:
    x, y = batch(0)[1].numpy(), np.zeros(64, np.int64)
    data = Dataset(name="d", x_train=x, y_train=y, x_test=x, y_test=y, classes=3)
    with pytest.raises(VecqError, match="the model takes 'image', 'vector', but a data set has"):
        fit(Base(), data, epochs=1, progress=False)
    with pytest.raises(VecqError, match="the outputs output_0, output_1, but fit trains one"):
        fit(_Two(nn.Linear(5, 3)), data, epochs=1, progress=False)


class _Two(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inner(x), x

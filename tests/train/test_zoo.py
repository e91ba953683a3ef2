"""Networks of the zoo: traced, quantized, lowered; their integers beside their predictions."""

import numpy as np
import pytest
import torch
from torch import fx, nn

from tests.zoo import networks
from vecq_hw.lower import lower
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import quantize_model
from vecq_hw.train.effects import is_shape
from vecq_hw.train.tracing import Batch, trace

torch.set_num_threads(1)  # on small networks a second thread only waits

CASES = {case.name: case for case in networks.CASES}
ORDINARY = ("LeNet", "ResNet-8", "SE-ResNet", "GhostNet", "M5", "convolutional autoencoder")
"""The others, which are larger, are of the night."""

names = pytest.mark.parametrize(
    "name", [name if name in ORDINARY else pytest.param(name, marks=pytest.mark.nightly)
             for name in CASES]
)  # fmt: skip


class ForBatch(fx.Interpreter):
    """Runs a graph, in which the size of the batch is a number of its own."""

    def run(self, x):
        self.batch = len(x)
        return super().run(x)

    def fetch_args_kwargs_from_env(self, node):
        given = super().fetch_args_kwargs_from_env(node)
        return fx.node.map_aggregate(given, self.counted)

    def counted(self, value):
        return self.batch if isinstance(value, Batch) else value


def made(name):
    """A model of the zoo with statistics in its batch norms, and samples."""
    case = CASES[name]
    torch.manual_seed(0)
    model, x = case.make(), torch.rand(32, *case.shapes[0])
    with torch.no_grad():
        model(x)
    return model, x, case.shapes[0]


@names
def test_the_graph_computes_what_the_model_does(name):
    model, x, shape = made(name)
    graph = trace(model, (shape,)).eval()
    assert not any(map(is_shape, graph.graph.nodes))
    for module in graph.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    model.eval()
    with torch.no_grad():
        for batch in (1, 7):
            found = ForBatch(graph).run(x[:batch])
            assert torch.allclose(found, model(x[:batch]), atol=1e-5)


@names
def test_integers_give_what_the_quantized_model_predicts(name):
    model, x, shape = made(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.bias)
    twin = quantize_model(model, 8, 8, input_shape=shape).train()
    with torch.no_grad():
        for _ in range(3):
            twin(torch.rand(32, *shape))
        expected = twin.eval()(x).numpy()
    network = lower(twin, shape)
    codes = simulate(network, network_inputs(network, x.numpy()))
    outputs = codes * network.tensors[network.outputs[0]].step
    outputs = np.moveaxis(outputs, -1, 1).reshape(expected.shape)
    # A tie of the float model may go either way, and all that is behind it with it.
    away = np.abs(outputs - expected).reshape(len(x), -1).max(1) / expected.std()
    assert np.median(away) < 2e-3
    assert away.max() < 0.5
    sure = np.sort(expected.reshape(len(x), -1), axis=1)
    clear = sure[:, -1] - sure[:, -2] > 4 * away * expected.std()
    found, wanted = (one.reshape(len(x), -1).argmax(1) for one in (outputs, expected))
    assert (found == wanted)[clear].all()

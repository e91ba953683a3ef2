from __future__ import annotations

import pytest

from tests.hls_networks import cnn
from vecq_hw.errors import VecqError
from vecq_hw.layers import Conv2d, Rescale
from vecq_hw.passes.select import layer_network
from vecq_hw.simulate import simulate


def test_a_layer_computes_what_it_does_in_its_network() -> None:
    case = cnn("c", 2).case()
    names = [layer.name for layer in case.network.layers]
    taps = simulate(case.network, case.vectors.inputs, taps=["c_x", *names])
    for layer in case.network.layers:
        part = layer_network(case.network, layer.name)
        assert part.layers[0] is layer
        assert part.tensors[layer.name] == case.network.tensors[layer.name]
        outputs = simulate(part, taps[layer.input])
        assert (outputs == taps[part.outputs[0]]).all()
    assert [type(la) for la in layer_network(case.network, "c_0").layers] == [Conv2d, Rescale]
    assert layer_network(case.network, "c_6").outputs == ("c_6",)


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(VecqError, match="network 'c' has no layer 'c_9'; it has 'c_0', 'c_1'"):
        layer_network(cnn("c", 2).network(), "c_9")

"""What vecq wrote comes back: the same digest, and the same integers from the graph alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.hls_networks import Builder, mlp
from tests.random_networks import random_pair
from tests.random_record import MAKERS, inputs_of
from vecq_hw import storage
from vecq_hw.emit import onnx, qonnx
from vecq_hw.formats import IntFormat
from vecq_hw.interop import import_bytes
from vecq_hw.interop.own import own_network
from vecq_hw.layers import SumPool2d
from vecq_hw.simulate import simulate

pytest.importorskip("onnx")
U8, S8 = IntFormat(8, signed=False), IntFormat(8, signed=True)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_have_the_same_digest(seed):
    network, _ = random_pair(MAKERS[seed % len(MAKERS)], "net", seed)
    models = [onnx.model(network)]
    if qonnx.unsupported(network) is None:
        models += [qonnx.model(network, zero_point_half=half) for half in (False, True)]
    for model in models:
        made = import_bytes(model.SerializeToString(), "another name")
        assert made.report.digest == storage.digest(made.network) == storage.digest(network)
        assert {end.name for end in made.report.inputs} == {i.name for i in network.inputs}


def chains():
    dense = mlp("net", 3).network()
    image = Builder("net", (8, 7, 2), S8).conv(4, 3, (3, 3), (2, 1), (1, 0), bias=50).rescale(U8)
    image = image.pool((2, 2), (1, 2)).conv(3, 2, (2, 2)).rescale(S8).flatten()
    return {"dense": dense, "image": image.dense(5, 4, bias=9).network()}


def stripped(model):
    """The graph alone."""
    del model.metadata_props[:]
    return model.SerializeToString()


@pytest.mark.parametrize("kind", chains())
def test_the_graph_of_a_standard_file_alone_gives_the_same_integers(kind):
    network = chains()[kind]
    made = import_bytes(stripped(onnx.model(network)))
    assert made.report.semantics == "onnx"
    x = next(iter(inputs_of(network, 200, 0).values()))
    assert np.array_equal(simulate(network, x), simulate(made.network, x))


@pytest.mark.parametrize("kind", chains())
def test_the_graph_of_a_qonnx_file_alone_gives_the_same_integers(kind):
    network = chains()[kind]
    made = import_bytes(stripped(qonnx.model(network)))
    assert made.report.semantics == "onnx"
    (source,), (own,) = network.inputs, made.network.inputs
    assert (source.shape, source.format) == (own.shape, own.format)
    x = next(iter(inputs_of(network, 200, 0).values()))
    assert np.array_equal(simulate(network, x), simulate(made.network, x))


def test_a_changed_weight_is_read_from_the_graph():
    from onnx import numpy_helper

    network = chains()["dense"]
    model = qonnx.model(network)
    first = next(t for t in model.graph.initializer if t.name.endswith("weights"))
    values = numpy_helper.to_array(first).copy()
    values[:] = -values
    first.CopyFrom(numpy_helper.from_array(values, first.name))
    made = import_bytes(model.SerializeToString())
    assert made.report.semantics == "onnx"
    x = next(iter(inputs_of(network, 50, 0).values()))
    assert not np.array_equal(simulate(network, x), simulate(made.network, x))


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA"])
def test_metadata_that_hold_no_network_do_no_harm(text):
    network = chains()["dense"]
    model = qonnx.model(network)
    for entry in model.metadata_props:
        if entry.key == "vecq_network":
            entry.value = text
    assert import_bytes(model.SerializeToString()).report.semantics == "onnx"


def test_a_network_out_of_proportion_to_its_file_is_not_written_down():
    """A few bytes can claim a sum over 10^9 pixels."""
    from vecq_hw.interop.onnx_file import read_onnx

    network = Builder("net", (4, 4, 1), U8).pool((2, 2), (2, 2)).network()
    model = onnx.model(network)
    huge = replace(
        network,
        inputs=(replace(network.inputs[0], shape=(40000, 40000, 1)),),
        layers=(
            SumPool2d(
                name=network.outputs[0],
                input=network.inputs[0].name,
                kernel=(40000, 40000),
                stride=(1, 1),
            ),
        ),
    )
    import base64

    values = {
        "vecq_digest": storage.digest(huge),
        "vecq_network": base64.b64encode(storage.to_bytes(huge)).decode(),
    }
    for entry in model.metadata_props:
        entry.value = values[entry.key]
    content = model.SerializeToString()
    assert own_network(read_onnx(content), len(content)) is None

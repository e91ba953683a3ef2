"""Real samples to the codes of a network's input."""

import numpy as np
import pytest

from tests.test_network import IMAGE, conv, dense, network
from vecq_hw.errors import VecqError
from vecq_hw.layers import Input
from vecq_hw.simulate import network_inputs


@pytest.mark.parametrize(
    ("x", "says"),
    [
        ([["a"] * 3], "real numbers are wanted, not <U1"),
        ([[None] * 3], "not object"),
        ([[1j] * 3], "not complex128"),
        (np.zeros((2, 3), "M8[s]"), "not datetime64"),
        ([[1, 2], [3]], "the samples are no array"),
        ([[np.nan] * 3], "NaN or infinite"),
        (np.zeros((2, 4)), r"samples of the shape \(3,\) are wanted, not \(4,\)"),
        (3, r"are wanted, not \(\)"),
    ],
)
def test_what_is_no_sample_is_refused_in_one_sentence(x, says):
    with pytest.raises(VecqError, match=says) as caught:
        network_inputs(network(dense()), x)
    assert "\n" not in str(caught.value)


def test_a_sequence_is_an_image_of_height_1():
    source = Input(name="x", shape=(1, 7, 2), format=IMAGE.format)
    net = network(conv((3, 1, 3, 2)), source=source)
    x = np.arange(28).reshape(2, 2, 7)
    codes = network_inputs(net, x)
    assert codes.shape == (2, 1, 7, 2)
    assert np.array_equal(codes[:, 0].transpose(0, 2, 1), x)
    assert np.array_equal(network_inputs(net, x[:, :, None]), codes)
    assert np.array_equal(network_inputs(net, x.transpose(0, 2, 1)), codes)
    with pytest.raises(VecqError, match=r"shape \(2, 7\) are wanted, not \(4, 7\)"):
        network_inputs(net, np.zeros((1, 4, 7)))

"""The cases of the zoo: what is refused, what the others compute, and the table of them."""

import pytest
import torch

from tests.shares import one_in
from tests.zoo import cases, table
from tests.zoo.making import (
    by_name,
    differing,
    in_plain_python,
    inputs_of,
    is_large,
    network_of,
    of_ends,
)
from vecq_hw.errors import VecqError
from vecq_hw.layers import ArgMax, TopK
from vecq_hw.simulate import simulate

torch.set_num_threads(1)  # on small networks a second thread only waits

REFUSED = {
    "Softmax inside": "divides by a sum over channels",
    "torch.cat along rows": "is supported for a list of tensors along dim=1",
    "TransformerEncoderLayer": "of recurrent layers and attention, LSTM and GRU alone train",
}
"""By name, of what each is told."""
SAMPLES = 6


def test_each_case_has_a_name_of_its_own():
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)
    assert set(REFUSED) <= set(names)


def is_live(network, inputs):
    """Whether samples differ in what the network gives; else a comparison would say nothing.

    Of an ArgMax or TopK, in what it reads.
    """
    makers = {layer.name: layer for layer in network.layers}
    read = [
        makers[name].input if isinstance(makers.get(name), ArgMax | TopK) else name
        for name in network.outputs
    ]
    taps = simulate(network, of_ends(network, inputs), taps=read)
    return any((taps[name] != taps[name][0]).any() for name in read)


@one_in(4)
@pytest.mark.parametrize("kind", dict.fromkeys(case.kind for case in cases()))
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_the_simulator_computes_what_plain_python_does(kind, every):
    chosen = [case for case in cases() if case.kind == kind]
    # What is refused is always tried; it costs nothing.
    for case in [*chosen[::every], *(case for case in chosen if case.name in REFUSED)]:
        told = REFUSED.get(case.name)
        if told is not None:
            with pytest.raises(VecqError, match=told):
                network_of(case)
            continue
        network = network_of(case)
        inputs = inputs_of(network, SAMPLES, 7)
        found = by_name(network, simulate(network, of_ends(network, inputs)))
        assert is_live(network, inputs), case.name
        if not is_large(network):
            few = {name: x[:3] for name, x in inputs.items()}
            first = {name: output[:3] for name, output in found.items()}
            assert differing(in_plain_python(network, few), first) == 0, case.name


def test_a_run_that_is_stopped_leaves_a_true_table(tmp_path):
    every = [case for case in cases() if case.kind == "Vectors"]
    rows = [{"plain Python": "6 equal"}, {"refused": "not a | b"}, {"int8": "FAILED: 2 differ"}]
    out = tmp_path / "layers.md"

    def stopped():
        assert f"| Vectors | {len(every)} | 0 | 0 | 0 | {len(every)} |\n" in out.read_text()
        yield from zip(every, rows, strict=False)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.write(every, {}, stopped(), out)
    text = out.read_text()
    left = len(every) - 3
    assert (
        f"{len(every)} cases: 1 computed, 1 refused by a sentence, 1 wrong, {left} not run" in text
    )
    assert f"; wrong: {every[2].name}.\n" in text
    assert f"| Vectors | {len(every)} | 1 | 1 | 1 | {left} |\n" in text
    assert f"| {every[0].name} | 6 equal |" in text
    assert f"| {every[1].name} | no (1) |" in text
    assert "\n1. not a \\| b\n" in text
    assert f"| {every[2].name} |  | WRONG (2) |" in text
    assert f"| {every[3].name} | not run |" in text

"""Product quantization of one tensor: blocks, books, gradients, codes, what is refused."""

import copy
import math

import pytest
import torch

from vecq_hw.errors import VecqError
from vecq_hw.formats import MidRise, TwosComplement
from vecq_hw.quantize import BlockOrder, ProductCodes, ProductQuantization, ScalarCodes, Vecq

torch.set_num_threads(1)

SHAPES = [(16, 32), (12, 8, 3, 3), (6, 8, 5), (1, 8), (5, 6, 1, 1)]


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assigned(w, bits=1, **settings):
    quantizer = ProductQuantization(w, bits, **settings)
    quantizer.calibrate(w)
    return quantizer


def values_of(codes, shape):
    """The integers of codes in torch's layout."""
    if isinstance(codes, ScalarCodes):
        return torch.from_numpy(codes.grid.values(codes.codes.numpy()))
    book = torch.from_numpy(codes.grid.values(codes.book.numpy()))
    return book[codes.indices.long()].movedim(-1, 2).reshape(shape)


@pytest.mark.parametrize("order", BlockOrder)
@pytest.mark.parametrize("shape", SHAPES)
def test_with_a_word_for_each_block_the_weights_are_the_original_ones(shape, order):
    w = weights(*shape)
    settings = {"block": 8, "words": 65536, "least_blocks": 0, "order": order}
    quantizer = assigned(w, **settings)
    step = w.abs().max() / 127
    assert torch.equal(quantizer(w), torch.floor(w / step + 0.5) * step)
    codes = quantizer.codes(w)
    assert codes.grid == TwosComplement(8)
    assert float(codes.step) == float(step)
    assert torch.equal(values_of(codes, shape), torch.floor(w / step + 0.5).int())


@pytest.mark.parametrize("order", BlockOrder)
@pytest.mark.parametrize("shape", SHAPES)
def test_codes_are_what_training_multiplies_by(shape, order):
    w = weights(*shape)
    quantizer = assigned(w, 2, order=order)
    quantizer.book.data += 0.1 * weights(*quantizer.book.shape, seed=5)
    codes = quantizer.codes(w)
    assert type(codes) is (ProductCodes if order is BlockOrder.CHANNELS else ScalarCodes)
    integers = values_of(codes, shape)
    assert torch.equal(integers * codes.step.float(), quantizer(w).detach())
    values, step = quantizer.integers(w)
    assert torch.equal(values, integers.float())
    assert float(step) == float(codes.step)
    assert len(quantizer.book) * quantizer.block == quantizer.book.numel()


def test_blocks_are_neighbouring_channels_at_one_tap_or_neighbours_of_a_kernel():
    w = weights(4, 6, 3, 3)
    for order, axis in ((BlockOrder.CHANNELS, 1), (BlockOrder.TAPS, None)):
        block = 3 if axis else 9
        quantizer = assigned(w, block=block, words=4, order=order, least_blocks=0)
        assert (quantizer.block, quantizer.words) == (block, 4)
        found = quantizer(w).detach()
        cut = found.movedim(1, -1).reshape(-1, 3) if axis else found.reshape(-1, 9)
        assert len(torch.unique(cut, dim=0)) == 4


@pytest.mark.parametrize(
    ("shape", "bits", "settings", "sizes"),
    [
        ((512, 3136), 1, {}, (8, 256)),
        ((512, 3136), 2, {}, (4, 256)),
        ((512, 3136), 3, {}, (2, 64)),
        ((512, 3136), 4, {}, (2, 256)),
        ((512, 3136), 8, {}, (1, 256)),
        ((64, 64), 1, {}, (4, 16)),  # the book of 256 words of 8 would be larger than the indices
        ((64, 32, 5, 5), 1, {}, (8, 256)),
        ((64, 32, 5, 5), 1, {"order": "taps"}, (8, 256)),
        ((64, 20, 5, 5), 1, {"block": 8}, (5, 32)),
        ((64, 20, 3, 3), 1, {"order": "taps", "block": 9}, (9, 256)),
        ((64, 64), 1, {"words": 256}, (8, 128)),  # four blocks for each word
        ((64, 64), 1, {"words": 256, "least_blocks": 0}, (8, 256)),
        ((64, 64), 2, {"words": 256}, (4, 256)),
        ((10, 32), 1, {"block": 100, "words": 65536}, (32, 2)),
        ((10, 31), 1, {}, (1, 2)),
        ((1, 4), 8, {}, (1, 2)),
    ],
)
def test_sizes_of_blocks_and_books(shape, bits, settings, sizes):
    quantizer = ProductQuantization(weights(*shape), bits, **settings)
    assert (quantizer.block, quantizer.words) == sizes


def test_the_gradient_of_a_word_is_the_mean_of_those_of_its_blocks():
    w = weights(24, 16).requires_grad_()
    quantizer = ProductQuantization(w, block=4, words=8)
    free = quantizer(w)
    assert free is w
    quantizer.calibrate(w)
    gradient = weights(24, 16, seed=1)
    quantizer(w).backward(gradient)
    assert w.grad is None
    cut = gradient.reshape(-1, 4)
    for word in range(8):
        mean = cut[quantizer.indices == word].mean(0)
        torch.testing.assert_close(quantizer.book.grad[word], mean)


def test_blocks_get_their_words_when_it_is_time_and_keep_them():
    w = weights(24, 16)
    quantizer = ProductQuantization(w, 2, start=0.1, end=0.75)
    for progress in (0.0, 0.1, 0.7):
        quantizer.advance(w, progress)
        assert quantizer.waits
    given = quantizer.codes(w)  # what the search would begin with
    assert isinstance(given, ProductCodes)
    assert quantizer.waits
    quantizer.advance(w, 0.75)
    assert not quantizer.waits
    before = quantizer(w).detach().clone()
    error = float((before - w).square().mean())
    assert error < float((values_of(given, w.shape) * given.step - w).square().mean())
    quantizer.advance(weights(24, 16, seed=3), 1.0)
    assert torch.equal(quantizer(w), before)


def test_weights_by_activations_have_words_for_these():
    w = weights(64, 16)
    moments = torch.diag(torch.tensor([100.0, 1, 1, 1])).double()
    errors = []
    for weighted in (False, True):
        quantizer = ProductQuantization(w, block=4, words=16, weighted=weighted)
        quantizer.calibrate(w, moments)
        errors.append(float((quantizer(w).detach() - w).reshape(-1, 4)[:, 0].square().mean()))
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("shape", [(8, 1, 3, 3), (16, 3, 3, 3), (5,), (1, 1)])
def test_layers_of_few_channels_have_scalar_weights(shape):
    w = weights(*shape)
    quantizer = assigned(w, scalar_bits=6)
    quantizer.advance(w, 1.0)
    codes = quantizer.codes(w)
    assert isinstance(codes, ScalarCodes)
    assert codes.grid == quantizer.grid == MidRise(6)
    assert torch.equal(codes.codes, Vecq(w, 6).codes(w).codes)
    assert torch.equal(quantizer(w), Vecq(w, 6)(w))
    assert not list(quantizer.parameters())
    if len(shape) > 1:
        assert ProductQuantization(w, scalar_channels=0).scalar is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"block": 0}, "block is 1 or more weights, not 0"),
        ({"block": 2.5}, "block is 1 or more weights, not 2.5"),
        ({"words": 1}, "words is 2, 4, 8, ... 65536, not 1"),
        ({"words": 12}, "words is 2, 4, 8, ... 65536, not 12"),
        ({"words": 1 << 17}, "words is 2, 4, 8, ... 65536, not 131072"),
        ({"order": "rows"}, "order is one of channels, taps, not 'rows'"),
        ({"iterations": -1}, "iterations is 0 or more, not -1"),
        ({"weighted": "yes"}, "weighted is True or False, not 'yes'"),
        ({"book_bits": 1}, "book_bits is 2 to 16, not 1"),
        ({"book_bits": 17}, "book_bits is 2 to 16, not 17"),
        ({"least_blocks": -4}, "least_blocks is 0 or more, not -4"),
        ({"scalar_channels": None}, "scalar_channels is 0 or more, not None"),
        ({"scalar_bits": 0}, "scalar_bits is 1 to 16, not 0"),
        ({"start": 0.6}, "0 <= start <= end <= 1, not 0.6 and 0.5"),
        ({"start": math.nan}, "0 <= start <= end <= 1, not nan"),
        ({"end": "late"}, "0 <= start <= end <= 1, not 'late'"),
        ({"distilled": 1}, "distilled is True or False, not 1"),
        ({"end": 1.5}, "0 <= start <= end <= 1, not 0.25 and 1.5"),
        ({"bits": 9}, "weights of ProductQuantization have 1 to 8 bits, not 9"),
    ],
)
def test_bad_settings_are_refused(settings, says):
    with pytest.raises(VecqError) as raised:
        ProductQuantization(weights(8, 8), **({"bits": 1} | settings))
    assert says in str(raised.value)


@pytest.mark.parametrize(
    "w",
    [
        torch.full((6, 8), 0.3),
        torch.cat([torch.zeros(3, 8), weights(3, 8)]),
        weights(6, 8) * 1e-15,
        weights(6, 8) * 1e15,
        weights(6, 8).double(),
        weights(1, 5, 1, 1),
        torch.cat([weights(63, 8) * 1e-6, torch.full((1, 8), 1e6)]),
    ],
)
def test_odd_weights_have_words(w):
    quantizer = assigned(w, 2, words=16)
    found = quantizer(w).detach()
    assert found.dtype == w.dtype
    assert torch.isfinite(found).all()
    codes = quantizer.codes(w)
    assert torch.equal(values_of(codes, w.shape) * codes.step.to(w.dtype), found)
    assert float((found - w).square().sum()) < 0.9 * float(w.square().sum())


def test_weights_and_words_without_a_direction_are_refused():
    w = weights(8, 8)
    for bad, says in ((torch.zeros(8, 8), "are zero"), (torch.full((8, 8), math.inf), "infinite")):
        for call in (ProductQuantization(w).calibrate, ProductQuantization(w).codes):
            with pytest.raises(VecqError, match=says):
                call(bad)
    quantizer = assigned(w)
    for value in (0.0, math.nan, math.inf):
        quantizer.book.data.fill_(value)
        with pytest.raises(VecqError, match="made the words of its ProductQuantization weights"):
            quantizer.codes(w)


def test_copies_and_states_are_whole_and_forged_ones_are_refused():
    w = weights(8, 24)
    quantizer = assigned(w, block=4)
    again = ProductQuantization(weights(8, 24, seed=4), block=4)
    again.load_state_dict(quantizer.state_dict())
    for other in (again, copy.deepcopy(quantizer)):
        assert torch.equal(other(w), quantizer(w))
        assert torch.equal(other.codes(w).indices, quantizer.codes(w).indices)
    for value in (99, -1):
        state = copy.deepcopy(quantizer.state_dict())
        state["indices"].fill_(value)
        with pytest.raises(RuntimeError, match="indices leave the book of"):
            ProductQuantization(w, block=4).load_state_dict(state)

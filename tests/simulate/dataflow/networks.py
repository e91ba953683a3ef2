"""Networks whose cycles are counted; their codes are random, which no cycle depends on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import (
    Add,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Flatten,
    Input,
    Layer,
    Lookup,
    MaxPool2d,
    Multiply,
    Rescale,
    Subtract,
    SumPool2d,
    Upsample2d,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, Schedule

U4 = IntFormat(4, signed=False)
U8, S8 = IntFormat(8, signed=False), IntFormat(8, signed=True)
_GENERATOR = np.random.default_rng(0)


def weights(*shape: int, bits: int = 2) -> Weights:
    grid = MidRise(bits)
    fmt = grid.code_format
    return Weights(codes=_GENERATOR.integers(fmt.lo, fmt.hi + 1, shape), grid=grid)


def convolution(name: str, source: str, channels: int, outputs: int, kernel: int, stride: int = 1):
    return Conv2d(
        name=name,
        input=source,
        weights=weights(outputs, kernel, kernel, channels),
        stride=(stride, stride),
        padding=(kernel // 2, kernel // 2),
    )


def rescale(name: str, source: str, channels: int, fmt: IntFormat = U8) -> Rescale:
    return Rescale(
        name=name,
        input=source,
        mantissa=np.ones(channels, int),
        offset=np.zeros(channels, int),
        shift=4,
        format=fmt,
    )


def inverted_residual(name: str) -> Network:
    """The block of MobileNetV3: hard swish as a table, squeeze and excite, the sum with its input.

    Its positions have classes, and a constant for each of them is added.
    """
    height, width, channels, wide, narrow = 5, 4, 4, 8, 2
    place = iter(range(100))
    layers: list[Layer] = []

    def add(layer: Layer) -> str:
        layers.append(layer)
        return layer.name

    def label(kind: str) -> str:
        return f"{name}_{kind}{next(place)}"

    def table(source: str, fmt: IntFormat) -> str:
        codes = add(rescale(label("codes"), source, wide, S8))
        values = _GENERATOR.integers(fmt.lo, fmt.hi + 1, (1, 256))
        return add(Lookup(name=label("lookup"), input=codes, table=values, format=fmt))

    def pointwise(source: str, taken: int, outputs: int) -> str:
        return add(convolution(label("conv"), source, taken, outputs, 1))

    x = Input(name=f"{name}_x", shape=(height, width, channels), format=U8)
    expanded = table(pointwise(x.name, channels, wide), S8)
    depthwise = Conv2d(
        name=label("depthwise"),
        input=expanded,
        weights=weights(wide, 3, 3, 1),
        padding=(1, 1, 1, 1),
        groups=wide,
    )
    image = table(add(depthwise), S8)
    pool = SumPool2d(
        name=label("pool"), input=image, kernel=(height, width), stride=(height, width)
    )
    squeezed = add(rescale(label("squeezed"), add(pool), wide, S8))
    squeezed = add(rescale(label("relu"), pointwise(squeezed, wide, narrow), narrow))
    gate = table(pointwise(squeezed, narrow, wide), U8)
    product = add(Multiply(name=label("gate"), inputs=(image, gate)))
    lines = _GENERATOR.integers(-40, 40, (2, 3, wide))
    rows = _GENERATOR.integers(0, 3, height * width)
    by_class = replace(
        rescale(label("classes"), product, wide, S8), mantissa=lines[0], offset=lines[1], rows=rows
    )
    out = add(rescale(label("out"), pointwise(add(by_class), wide, channels), channels, S8))
    values = _GENERATOR.integers(-100, 100, (height, width, channels))
    positions = add(Constant(name=label("positions"), values=values, format=S8))
    end = add(Add(name=label("sum"), inputs=(out, x.name, positions)))
    return Network(name=name, inputs=(x,), layers=tuple(layers), outputs=(end,))


def constant_first(name: str) -> Network:
    """A Concat that begins with a constant, of which no word may go out before one comes in."""
    x = Input(name=f"{name}_x", shape=(1, 1, 1), format=U8)
    constant = Constant(name=f"{name}_constant", values=np.ones((1, 1, 1), np.int64), format=U8)
    end = Concat(name=f"{name}_join", inputs=(constant.name, x.name))
    return Network(name=name, inputs=(x,), layers=(constant, end), outputs=(end.name,))


BRANCHES = ("", "r", "rr", "1r", "r1r", "1r1r", "3r", "r3")
"""A rescale is ``r``, a convolution the size of its kernel."""


def branched(
    shape: tuple[int, int, int], branches: tuple[str, ...], join=Concat, network: str = "branch"
) -> Network:
    """Branches of one input that meet again; convolutions keep the shape.

    Names of layers begin with that of the network.
    """
    channels, layers, ends = shape[-1], [], []
    for number, branch in enumerate(branches):
        last = "x"
        for place, kind in enumerate(branch):
            name = f"{network}{number}_{place}"
            layers.append(
                rescale(name, last, channels)
                if kind == "r"
                else convolution(name, last, channels, channels, int(kind))
            )
            last = name
        if branch and branch[-1] != "r":
            last = f"{network}{number}_end"
            layers.append(rescale(last, layers[-1].name, channels))
        ends.append(last)
    layers.append(join(name="join", inputs=tuple(ends)))
    source = Input(name="x", shape=shape, format=U8)
    return Network(name=network, inputs=(source,), layers=tuple(layers), outputs=("join",))


@st.composite
def branched_networks(draw) -> Network:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)))
    branches = draw(st.lists(st.sampled_from(BRANCHES), min_size=2, max_size=4))
    return branched(shape, tuple(branches), draw(st.sampled_from([Add, Concat])))


def resnet8() -> Network:
    """ResNet-8 on 32x32x3 (MLPerf Tiny's shape): three residual stages of 16, 32, 64 channels."""
    layers: list[Layer] = [convolution("stem", "image", 3, 16, 3), rescale("stem_relu", "stem", 16)]
    last, channels = "stem_relu", 16
    for stage, outputs in enumerate((16, 32, 64)):
        stride = 1 if outputs == channels else 2
        n = f"stage{stage}"
        layers += [
            convolution(f"{n}_conv1", last, channels, outputs, 3, stride),
            rescale(f"{n}_relu1", f"{n}_conv1", outputs),
            convolution(f"{n}_conv2", f"{n}_relu1", outputs, outputs, 3),
            rescale(f"{n}_scale2", f"{n}_conv2", outputs),
        ]
        skip = last
        if outputs != channels:
            skip = f"{n}_scale0"
            layers += [
                convolution(f"{n}_conv0", last, channels, outputs, 1, stride),
                rescale(skip, f"{n}_conv0", outputs),
            ]
        layers += [
            Add(name=f"{n}_add", inputs=(f"{n}_scale2", skip)),
            rescale(f"{n}_relu2", f"{n}_add", outputs),
        ]
        last, channels = f"{n}_relu2", outputs
    layers += [
        SumPool2d(name="pool", input=last, kernel=(8, 8), stride=(8, 8)),
        rescale("mean", "pool", 64),
        Flatten(name="flatten", input="mean"),
        Dense(name="dense", input="flatten", weights=weights(10, 64)),
    ]
    return Network(
        name="resnet8",
        inputs=(Input(name="image", shape=(32, 32, 3), format=U8),),
        layers=tuple(layers),
        outputs=("dense",),
    )


def unet(size: int) -> Network:
    """A U-Net of two steps down and up, of 2, 4 and 8 channels, on size x size x 3."""
    layers: list[Layer] = []

    def convolved(name: str, source: str, channels: int, outputs: int) -> str:
        layers.append(convolution(name, source, channels, outputs, 3))
        layers.append(rescale(f"{name}_relu", name, outputs))
        return f"{name}_relu"

    down1 = convolved("down1b", convolved("down1a", "image", 3, 2), 2, 2)
    layers.append(MaxPool2d(name="pool1", input=down1, kernel=(2, 2), stride=(2, 2)))
    down2 = convolved("down2b", convolved("down2a", "pool1", 2, 4), 4, 4)
    layers.append(MaxPool2d(name="pool2", input=down2, kernel=(2, 2), stride=(2, 2)))
    last = convolved("bottom_b", convolved("bottom_a", "pool2", 4, 8), 8, 8)
    for number, skip, channels in ((2, down2, 4), (1, down1, 2)):
        layers.append(Upsample2d(name=f"up{number}", input=last, factor=(2, 2)))
        narrow = convolved(f"narrow{number}", f"up{number}", 2 * channels, channels)
        layers.append(Concat(name=f"join{number}", inputs=(skip, narrow)))
        last = convolved(f"up{number}a", f"join{number}", 2 * channels, channels)
        last = convolved(f"up{number}b", last, channels, channels)
    layers.append(convolution("scores", last, 2, 2, 1))
    image = Input(name="image", shape=(size, size, 3), format=U8)
    return Network(name="unet", inputs=(image,), layers=tuple(layers), outputs=("scores",))


def residual(depth: int = 3) -> tuple[Network, Schedule]:
    """A convolution of a 6x6 image beside a skip branch."""
    network = Network(
        name="residual",
        inputs=(Input(name="x", shape=(6, 6, 2), format=U4),),
        layers=(
            rescale("scaled", "x", 2, U4),
            convolution("conv", "scaled", 2, 2, depth),
            rescale("branch", "conv", 2, U4),
            Add(name="add", inputs=("branch", "scaled")),
        ),
        outputs=("add",),
    )
    return network, Schedule(folds={"conv": Fold(pe=1, simd=2)})


def late_branch() -> tuple[Network, Schedule]:
    """A subtraction of frames of one word, whose second operand comes much later."""
    late = convolution("late", "x", 1, 1, 1)
    layers = [late, rescale("codes", "late", 1), Subtract(name="out", inputs=("x", "codes"))]
    source = Input(name="x", shape=(1, 1, 1), format=U4)
    network = Network(name="turns", inputs=(source,), layers=tuple(layers), outputs=("out",))
    return network, Schedule(folds={"late": Fold(pe=1, simd=1)})

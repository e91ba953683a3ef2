"""Models that compute with the shapes of their tensors, traced with the shape of their input."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.train import ModelRecipe, quantize_model
from vecq_hw.train.module_graph import module_graph

torch.set_num_threads(1)  # on small networks a second thread only waits

IMAGE = (4, 8, 6)


class Sized(nn.Module):
    """A model whose forward() is a function of it and of its input."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.pool, self.norm = nn.MaxPool2d(2), nn.BatchNorm2d(4)
        self.fc, self.last = nn.Linear(4 * 4 * 3, 5), nn.Linear(4, 5)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())] * 2)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def by_numbers(m, x):
    x = m.pool(m.conv(x))
    b, c, h, w = x.shape
    return m.fc(x.view(b, c * h * w))


def by_assertions(m, x):
    assert isinstance(x, torch.Tensor)
    assert torch.is_tensor(x)
    assert x.ndim == 4
    assert x.size()[1:] == (4, 8, 6), f"{tuple(x.shape)}"
    if x.shape[1] != m.conv.in_channels:
        raise ValueError("four channels are wanted")
    return m.conv(x)


def by_branches(m, x):
    while x.shape[-1] > 3:
        x = m.pool(x).relu() if x.shape[-2] % 2 == 0 else F.relu(x)
    return m.conv(x)


def by_loops(m, x):
    for block in m.blocks[: x.dim() - 2]:
        x = block(x)
    return m.last(x.mean(tuple(range(2, x.dim()))))


def to_the_size_of_another(m, x):
    low = m.pool(F.relu(m.conv(x)))
    return F.interpolate(low, size=x.shape[-2:]) + x


def to_the_batch(m, x):
    batch = len(x)
    x = F.adaptive_avg_pool2d(m.conv(x), 1)
    assert x.numel() == batch * 4
    return m.last(x.reshape(batch, x.numel() // batch))


def of_the_type_of_another(m, x):
    return m.conv(x.to(x.device).to(x.dtype).type_as(m.conv.weight))


def made_on_the_way(m, x):
    x = nn.ReLU()(m.norm(m.conv(x)))
    return nn.Flatten()(nn.MaxPool2d(2)(x))


def slices_of_modules(m, x):
    whole = nn.Sequential(m.conv, m.norm, nn.ReLU(), m.pool)
    return whole[:2](x)


def changes_a_list(m, x):
    torch._foreach_add_([x], 1.0)
    return m.conv(x)


@pytest.mark.parametrize(
    "function",
    [
        by_numbers,
        by_assertions,
        by_branches,
        by_loops,
        to_the_size_of_another,
        to_the_batch,
        of_the_type_of_another,
        made_on_the_way,
        slices_of_modules,
    ],
)
def test_code_that_computes_with_sizes_is_traced(function):
    model = Sized(function)
    graph = module_graph(model, IMAGE).eval()
    for batch in (1, 5):
        x = torch.randn(batch, *IMAGE)
        assert torch.allclose(graph(x), model.eval()(x), atol=1e-6)
    quantize_model(model, input_shape=IMAGE).train()(torch.randn(3, *IMAGE))


def test_the_shape_of_an_input_may_be_one_of_several():
    assert module_graph(Sized(by_numbers), [IMAGE])(torch.ones(2, *IMAGE)).shape == (2, 5)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda m, x: m.conv(x).view(-1, 6), "'view' joins the batch with another axis .32 times"),
        (lambda m, x: m.conv(x).permute(1, 0, 2, 3), r"\(permute\) moves the batch away from axis"),
        (lambda m, x: x.view(2 * len(x), 2, 8, 6), "'view' joins the batch with another axis"),
        (
            lambda m, x: m.conv(x) if len(x) < 102 else m.pool(x),
            "something else for 101 samples",
        ),
        (lambda m, x: sum(x) + m.conv(x), "something else for 101 samples than for 103"),
        (lambda m, x: m.conv(x) + 1 / len(x), "'add' takes a number that depends on the size"),
        (lambda m, x: F.max_pool2d(x, len(x)), "fails on samples of the shape .* at 'max_pool2d'"),
        (lambda m, x: m.fc(x.flatten(1)), r"of the shape \(4, 8, 6\): at 'fc', a and b must"),
        (lambda m, x: m.conv(x).squeeze(0) if x.sum() > 0 else x, "cannot be traced .* values"),
        (lambda m, x: nn.BatchNorm2d(4)(x), "calls a BatchNorm2d that is no part of the model"),
        (lambda m, x: nn.Dropout()(m.conv(x)), "'dropout' drops values in evaluation, too; make"),
        (lambda m, x: m.conv(x) if x.max().item() > 0 else x, "asks for the values .* .'item'"),
        (lambda m, x: m.conv(torch.from_numpy(x.numpy())), "asks for the values .* NumPy"),
        (lambda m, x: m.conv(x * len(x.tolist())), "asks for the values of a tensor"),
        (
            changes_a_list,
            "computes '_foreach_add_', which",
        ),
        (lambda m, x: x.__setitem__((..., 0), 0) or m.conv(x), "sets a part of 'x' in place"),
        (lambda m, x: torch.stack([x, m.conv(x)]).sum(0), "not supported along axis 0, the batch"),
        (lambda m, x: m.last(x.mean((2, 3))).t(), "'t' .* is not supported"),
        (lambda m, x: m.conv(x).transpose(0, 1), "moves the batch away from axis 0"),
        (lambda m, x: m.conv(x).mean(1), "not over its channels"),
        (lambda m, x: m.conv(x).mean(), "moves the batch away from axis 0"),
        (lambda m, x: F.interpolate(x, size=(12, 9)), "an image of 8 × 6 one of 12 × 9"),
        (lambda m, x: m.conv(x.double()), "of the shape .* at 'conv'"),
    ],
)
def test_what_depends_on_the_batch_or_does_not_fit_is_named(function, message):
    with pytest.raises(VecqError, match=message):
        quantize_model(Sized(function), input_shape=IMAGE)


@pytest.mark.parametrize("shape", ["123", 5, (), (0, 8), (4, 8.5), [()], {3: 4}])
def test_shapes_of_other_kinds_are_refused(shape):
    with pytest.raises(VecqError, match="input_shape is the shape of a sample, such as"):
        quantize_model(Sized(by_numbers), input_shape=shape)


def test_several_shapes_for_one_input_are_refused():
    with pytest.raises(VecqError, match=r"takes 1 tensors \(x\), but input_shape has 2"):
        quantize_model(Sized(by_numbers), input_shape=[IMAGE, IMAGE])


def test_the_users_model_keeps_its_statistics_and_gets_no_module():
    model = Sized(made_on_the_way)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    names = [name for name, _ in model.named_modules()]
    quantize_model(model, input_shape=IMAGE)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [name for name, _ in model.named_modules()] == names
    assert torch.is_tensor(torch.ones(1))
    assert not torch.is_tensor("a proxy")


def test_a_recipe_traces_with_its_shape(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = nn.Linear(64, 10)\n"
        "    def forward(self, x):\n"
        "        b, c, h, w = x.shape\n"
        "        return self.fc(x.view(b, c, h // 2, 2 * w).reshape(b, c * h * w))\n"
    )
    twin = ModelRecipe(model=f"{file}:Net", shape=(1, 8, 8), classes=10).build()
    assert twin(torch.rand(3, 1, 8, 8)).shape == (3, 10)

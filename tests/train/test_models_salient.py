import pytest
import torch
from torch import nn

from tests.lowered import check_codes, samples
from tests.shares import nightly
from vecq_hw.errors import VecqError
from vecq_hw.train import build_model, model_size_bytes, quantize_model
from vecq_hw.train.models_salient import Sizes, salient_model

torch.set_num_threads(1)  # on small networks a second thread only waits

TABLE_11 = {
    # Convolutions, parameters in millions, sizes in MiB with weights of 32 and of 2 bits.
    "unet": (64, 36.54, 139.37, 9.05),
    "fpn": (67, 28.67, 109.38, 7.20),
    "linknet": (69, 28.78, 109.80, 7.24),
    "unetplusplus": (76, 37.70, 143.81, 9.35),
}
TINY = Sizes(
    stem=4,
    stages=((8, 1), (8, 1), (8, 2), (8, 1)),
    narrowing=2,
    decoder=(6, 6, 4, 4, 3),
    rows=(3, 4, 4, 5, 2),
    pyramid=6,
    segmentation=3,
)


@pytest.mark.parametrize("name", TABLE_11)
def test_sizes_are_those_of_table_11(name):
    convolutions, millions, mebibytes, quantized = TABLE_11[name]
    with torch.device("meta"):
        model = build_model(f"{name}_resnet50", (3, 224, 224), 1)
    kinds = nn.Conv2d | nn.ConvTranspose2d
    assert sum(isinstance(module, kinds) for module in model.modules()) == convolutions
    assert round(model_size_bytes(model, 32) / 4e6, 2) == millions
    assert round(model_size_bytes(model, 32) / 2**20, 2) == mebibytes
    assert round(model_size_bytes(model, 2) / 2**20, 2) == quantized


@pytest.mark.parametrize("name", TABLE_11)
@pytest.mark.parametrize("suffix", ["resnet50", "reduced"])
def test_maps_are_as_large_as_images(name, suffix):
    with torch.device("meta"):
        model = build_model(f"{name}_{suffix}", (3, 64, 96), 1)
        assert model(torch.empty(2, 3, 64, 96)).shape == (2, 1, 64, 96)


@pytest.mark.parametrize(
    "name",
    ["fpn", "linknet", nightly("unet", name="unet"), nightly("unetplusplus", name="unetplusplus")],
)
def test_salient_networks_lower_to_their_codes(name):
    torch.manual_seed(0)
    shape = (3, 32, 32)
    twin = quantize_model(salient_model(name, TINY, shape, 1), 2, 8)
    x = torch.from_numpy(samples(shape, 8, True, seed=1))
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-3)
    masks = (x[:, :1] > 0).float()
    loss = nn.functional.binary_cross_entropy_with_logits(twin(x), masks)
    loss.backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())
    optimizer.step()
    with torch.no_grad():
        twin(x)
    check_codes(twin.eval(), shape, samples(shape, 2, True, seed=2), clean_part=-1)


@pytest.mark.parametrize("shape", [(3, 64, 72), (3, 40, 64)])
def test_images_that_five_halvings_do_not_fit(shape):
    with pytest.raises(VecqError, match=rf"multiples of 32, not {shape[1]} × {shape[2]}"):
        build_model("unet_reduced", shape, 1)

"""Methods in training, checkpoints and targets; bits files; calibration; biases."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from tests.lowered import check_codes, samples, trained_twin
from tests.shares import nightly
from vecq_hw.cli import vecq
from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, MidRise, MiniFloat, TwosComplement
from vecq_hw.layers import BinaryBases, Conv2d, Dense, Lookup, ProductWeights, Weights
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.quantize import METHODS, Inq, Vecq, weight_method
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import (
    LayerQuantization,
    ModelRecipe,
    Optimizer,
    Settings,
    Training,
    calibrate,
    evaluate,
    fit,
    load_checkpoint,
    quantize_model,
    read_bits,
    save_checkpoint,
)
from vecq_hw.verify import compare, targets

torch.set_num_threads(1)

GRIDS: dict[str, type] = {"twn": TwosComplement, "minmax": TwosComplement, "lsq": TwosComplement}
GRIDS |= {"alq": BinaryBases, "tqt": TwosComplement, "inq": CodeBook, "ttq": CodeBook}
GRIDS |= {"esb": MiniFloat, "pq": ProductWeights, "elq": TwosComplement}
GRIDS |= {"srq": TwosComplement, "dropbits": TwosComplement}
WIDTHS = {"bwn": 1, "twn": 2, "ttq": 2, "elq": 2}


def blobs(seed=0, count=240):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = (rng.normal(size=(count, 8)) + 4 * np.eye(3, 8)[y]).astype(np.float32)
    half = count // 2
    return Dataset(
        name="blobs",
        classes=3,
        x_train=x[:half],
        y_train=y[:half],
        x_test=x[half:],
        y_test=y[half:],
    )


def mlp():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_lowers_and_predicts_alike(name):
    data, bits = blobs(), WIDTHS.get(name, 4)
    twin = quantize_model(mlp(), bits, 8, method=weight_method(name))
    losses = fit(twin, data, epochs=16, batch_size=32, learning_rate=0.02, progress=False)
    assert losses[-1] < 0.5 * losses[0]
    assert evaluate(twin, data.x_test, data.y_test) > 0.9
    network = lower(twin)
    kept = [la.weights for la in network.layers if isinstance(la, Dense)]
    grids = {type(one.grid if isinstance(one, Weights) else one) for one in kept}
    assert grids == {GRIDS.get(name, MidRise)}
    assert prediction_differences(twin, network, data.x_test) <= (2 if name == "ttq" else 1)


@pytest.mark.parametrize(
    "name", [name if count % 3 == 0 else nightly(name) for count, name in enumerate(METHODS)]
)
def test_every_method_trains_convolutions_and_large_layers_by_plain_sgd(name):
    # Training lays the channels of a pixel side by side; gradients of scales grow with a layer.
    flat, rng = blobs(count=480), np.random.default_rng(5)
    patterns = rng.normal(size=(8, 2 * 12 * 12)).astype(np.float32) / 3
    images = [(x @ patterns).reshape(-1, 2, 12, 12) for x in (flat.x_train, flat.x_test)]
    data = replace(flat, x_train=images[0], x_test=images[1])
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(800, 400),
        nn.BatchNorm1d(400),
        nn.ReLU(),
        nn.Linear(400, 3),
    )
    twin = quantize_model(model, WIDTHS.get(name, 4), 8, method=weight_method(name))
    sgd = Settings(epochs=8, batch_size=16, optimizer=Optimizer.SGD, learning_rate=0.01)
    training = Training(twin, data, sgd)
    for _ in range(sgd.epochs):
        training.run_epoch()
    assert evaluate(twin, data.x_test, data.y_test) > 0.95
    network = lower(twin, (2, 12, 12))
    assert prediction_differences(twin, network, data.x_test) <= 2


@pytest.mark.parametrize(
    ("epochs", "after_each"),
    [(10, [0, 0.5, 0.5, 0.75, 0.75, 0.875, 0.875, 1, 1, 1]), (2, [0.75, 1]), (3, [0.5, 0.875, 1])],
)
def test_inq_is_fixed_by_fifths_of_training(epochs, after_each):
    twin = quantize_model(mlp(), 5, 8, method=Inq)
    training = Training(twin, blobs(), Settings(epochs=epochs, batch_size=15))
    quantizer = twin.get_submodule("0").quantizer
    parts, seen = [], []

    def look():
        seen.append(float((~quantizer.fixed.isnan()).float().mean()))

    for _ in range(epochs):
        training.run_epoch(look)
        parts.append(seen[-1])
    assert parts == after_each
    assert sorted({*seen}) == [0, 0.5, 0.75, 0.875, 1]
    assert seen.index(0.5) == math.ceil(len(seen) / 5) - 1


@pytest.mark.needs_cxx
@pytest.mark.parametrize("name", ["ttq", *map(nightly, ("twn", "inq", "lsq"))])
def test_the_cxx_of_a_method_computes_the_simulators_integers(tmp_path, name, monkeypatch):
    monkeypatch.setenv("CXXFLAGS", "-O0")
    data = blobs()
    twin = quantize_model(mlp(), WIDTHS.get(name, 4), 8, method=weight_method(name))
    fit(twin, data, epochs=4, batch_size=32, progress=False)
    network = lower(twin)
    x = network_inputs(network, data.x_test)
    assert len(np.unique(simulate(network, x))) > 30
    report = compare.verify(network, x, targets=targets.choose(["hls"]), folder=tmp_path)
    assert [(row.status.value, row.mismatches) for row in report.rows] == [("passed", 0)]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        *(("lsq", {}), ("inq", {}), ("vecq", {"interval": "search", "per_channel": True})),
        ("esb", {"fraction": 2, "spread": "std", "rescale": False}),
    ],
)
def test_checkpoints_keep_the_method(tmp_path, method, options):
    factory = tmp_path / "models.py"
    factory.write_text(
        "from torch import nn\n\n\ndef net():\n"
        "    return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))\n"
    )
    recipe = ModelRecipe(
        model=f"{factory}:net",
        shape=(8,),
        classes=3,
        weight_bits=4,
        method=method,
        options=options,
        bias_bits=5 if options else None,
        activation_method="esb" if method == "esb" else "uniform",
    )
    data = blobs()
    model = recipe.build()
    fit(model, data, epochs=3, progress=False)
    save_checkpoint(model, recipe, tmp_path / "checkpoint.pt")
    again, read = load_checkpoint(tmp_path / "checkpoint.pt", recipe.model)
    assert read == recipe
    x = torch.from_numpy(data.x_test)
    assert torch.equal(again(x), model(x))


def test_bits_of_layers_from_a_file(tmp_path):
    path = tmp_path / "bits.json"
    path.write_text(
        '{"0": 5, "2": {"activation": 6, "weight": 3}, "input": {"activation": 7}, "4": {"method":'
        ' "lsq"}, "6": {"method": "vecq", "options": {"interval": "search", "x": [1, 0.5]}}}'
    )
    assert read_bits(path) == {
        "0": LayerQuantization(weight=5),
        "2": LayerQuantization(weight=3, activation=6),
        "input": LayerQuantization(activation=7),
        "4": LayerQuantization(method="lsq"),
        "6": LayerQuantization(method="vecq", options={"interval": "search", "x": (1, 0.5)}),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1]", "holds no object"),
        ("{", "is no JSON"),
        ('{"fc1": 8, "fc1": 2}', "bits.json': 'fc1' is there twice"),
        ('{"fc1": {"weight": 8, "weight": 2}}', "'weight' is there twice"),
        ('{"fc1": "8"}', "'fc1' has \"8\" where a number of bits"),
        ('{"fc1": true}', "'fc1' has true where"),
        ('{"fc1": {}}', "'fc1' has {} where"),
        ('{"fc1": {"weights": 8}}', "'fc1' has {\"weights\": 8} where"),
        ('{"fc1": {"weight": null}}', "'fc1' has {\"weight\": null} where"),
        ('{"fc1": {"method": 8}}', "where a method is a name, and options are an object"),
        ('{"fc1": {"options": ["x"]}}', "where a method is a name, and options are an object"),
    ],
)
def test_bits_files_of_another_form_are_refused(tmp_path, text, says):
    path = tmp_path / "bits.json"
    path.write_text(text)
    with pytest.raises(VecqError) as error:
        read_bits(path)
    assert says in str(error.value)
    with pytest.raises(VecqError, match=r"'.*absent.json' cannot be read"):
        read_bits(tmp_path / "absent.json")


@pytest.mark.parametrize("bias_bits", [None, 1, 4, 16])
def test_quantized_biases_are_those_of_the_integers(bias_bits):
    image = (2, 8, 6)
    layers = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5)]
    twin = trained_twin(layers, image, 4, 8, True, bias_bits=bias_bits)
    network = check_codes(twin, image, samples(image, 300, True, 99))
    last = network.layers[-1]
    bias = twin.get_submodule("3").bias.detach()
    used = bias if bias_bits is None else Vecq(bias, bias_bits)(bias)
    unit = network.tensors[last.name].step
    assert np.array_equal(last.bias, np.round(used.double().numpy() / unit))
    if bias_bits == 1:
        assert len(np.unique(np.abs(used.numpy()))) == 1


def test_a_bias_of_zeros_stays_zero():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    nn.init.zeros_(model[0].bias)
    twin = quantize_model(model, 2, 8, bias_bits=3)
    x = torch.rand(5, 4)
    assert torch.isfinite(twin(x)).all()
    with pytest.raises(VecqError, match="1 to 16 bits, not 0"):
        quantize_model(model, bias_bits=0)


@pytest.mark.parametrize("normalized", [False, True])
def test_the_last_layers_scales_per_output_end_in_a_rescale(normalized):
    layers = [nn.Linear(6, 5), *([nn.BatchNorm1d(5)] if normalized else [])]
    twin = trained_twin(layers, (6,), 3, 8, method=weight_method("vecq", per_channel=True))
    network = lower(twin)
    output = network.tensors[network.outputs[0]]
    assert repr(output.format) == "s16"
    x = samples((6,), 200, False, 5)
    got = simulate(network, network_inputs(network, x)) * output.step
    with torch.no_grad():
        wanted = twin(torch.from_numpy(x)).numpy()
    assert np.abs(got - wanted).max() < 1.01 * output.step


def test_calibration_without_training(capsys):
    data = blobs()
    model = mlp()
    fit(model, data, epochs=12, batch_size=32, progress=False)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
    batches = [(x[start : start + 40], y[start : start + 40]) for start in range(0, 120, 40)]
    twin, before, after = calibrate(model, batches, weight_bits=4)
    said = capsys.readouterr().out
    assert f"{before:.2%} right in float, {after:.2%} with 4-bit weights" in said
    assert before == evaluate(model, data.x_test, data.y_test)
    assert after == evaluate(twin, data.x_test, data.y_test) > before - 0.05
    assert not twin.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert prediction_differences(twin, lower(twin), data.x_test) <= 1
    unlabelled = calibrate(model, [x])
    assert (unlabelled.float_accuracy, unlabelled.accuracy) == (None, None)
    assert capsys.readouterr().out == ""


def test_calibration_keeps_the_statistics_of_batch_norms():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    model(torch.randn(50, 8))
    twin = calibrate(model, [torch.randn(30, 8) + 9.0], method=Inq, weight_bits=5).model
    assert torch.equal(twin.get_submodule("1").running_mean, model[1].running_mean)
    assert model.training
    lower(twin)


def test_the_commands(tmp_path):
    shown = CliRunner().invoke(vecq, ["lambda", "--bits", "4", "--json", "-"])
    row = json.loads(shown.stdout)["rows"][0]
    assert row["lambda"] == pytest.approx(0.335201, abs=1e-6)
    assert row["relative_error"] == pytest.approx(0.01154288, abs=1e-8)
    assert row["paper_lambda"] == 0.3352
    table = CliRunner().invoke(vecq, ["lambda", "--distribution", "uniform"]).stdout.splitlines()
    assert len(table) == 17
    assert "0.866025" in table[2]
    bits = tmp_path / "bits.json"
    bits.write_text('{"fc1": 3, "input": {"activation": 6}}')
    command = ["train", "--epochs", "1", "--method", "lsq", "--weight-bits", "4"]
    done = CliRunner().invoke(
        vecq, [*command, "--bits-file", str(bits), "--out", str(tmp_path / "lsq")]
    )
    assert done.exit_code == 0, done.output
    model, recipe = load_checkpoint(tmp_path / "lsq" / "checkpoint.pt")
    assert (recipe.method, recipe.overrides["fc1"]) == ("lsq", LayerQuantization(weight=3))
    widths = [la.weights.grid.bits for la in lower(model).layers if isinstance(la, Dense | Conv2d)]
    assert widths[0] == 3
    assert set(widths[1:]) == {4}
    metrics = json.loads((tmp_path / "lsq" / "metrics.json").read_text())
    assert metrics["method"] == "lsq"
    assert [*metrics["bits_by_layer"].values()] == [3, *[4] * (len(widths) - 1)]
    assert 3 < metrics["stored_bits_per_weight"] < 4
    command = ["train", "--epochs", "1", "--per-channel", "--bias-bits", "6"]
    done = CliRunner().invoke(vecq, [*command, "--out", str(tmp_path / "channels")])
    assert done.exit_code == 0, done.output
    _, recipe = load_checkpoint(tmp_path / "channels" / "checkpoint.pt")
    assert (recipe.options, recipe.bias_bits) == ({"per_channel": True}, 6)
    command = ["train", "--epochs", "1", "--method", "esb", "--weight-bits", "5", "--esb-fraction"]
    command += ["1", "--activation-method", "esb", "--activation-bits", "4"]
    done = CliRunner().invoke(vecq, [*command, "--out", str(tmp_path / "esb")])
    assert done.exit_code == 0, done.output
    model, recipe = load_checkpoint(tmp_path / "esb" / "checkpoint.pt")
    assert (recipe.options, recipe.activation_method) == ({"fraction": 1}, "esb")
    network = lower(model)
    grids = {la.weights.grid for la in network.layers if isinstance(la, Dense | Conv2d)}
    assert grids == {MiniFloat(5, 1)}
    assert [la.format.hi for la in network.layers if isinstance(la, Lookup)] == [28, 28]
    for options, says in (
        (["--method", "lsq", "--esb-fraction", "1"], "--esb-fraction is a setting of esb, which"),
        (["--method", "esb", "--esb-fraction", "1"], "of 2 bits have 0 to 0 fraction bits, not 1"),
        (["--activation-method", "esb", "--activation-bits", "1"], "ESB activations have 2 to 10"),
        (["--activation-method", "esb", "--activation-bits", "float"], "of method 'esb' need bits"),
        (["--method", "lsq", "--per-channel"], "'lsq' has no setting 'per_channel'"),
        (
            ["--bias-bits", "6", *["--weight-bits", "float"], *["--activation-bits", "float"]],
            "biases",
        ),
        (["--method", "lsq", "--lambda", "paper"], "--lambda is a setting of vecq"),
        (["--method", "lsk"], "there is no method 'lsk' for weights; did you mean 'lsq'?"),
        (["--method", "bwn"], "weights of Bwn have 1 bit, not 2"),
        (["--bits-file", str(tmp_path / "no.json")], "cannot be read"),
    ):
        result = CliRunner().invoke(vecq, ["train", *options, "--out", str(tmp_path / "x")])
        assert says in str(result.exception)
        assert not (tmp_path / "x").exists()

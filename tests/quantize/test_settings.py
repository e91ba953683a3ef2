"""Settings of methods of every kind: from Python, from a text, in a checkpoint."""

import inspect
import math
from enum import StrEnum

import numpy as np
import pytest
import torch

from vecq_hw.errors import VecqError
from vecq_hw.quantize import (
    METHODS,
    Interval,
    Spread,
    Vecq,
    WeightQuantizer,
    method_options,
    weight_method,
)
from vecq_hw.quantize.methods import settings_of
from vecq_hw.quantize.settings import method_settings
from vecq_hw.train import ModelRecipe, load_checkpoint, save_checkpoint


class Draw(StrEnum):
    """How something is drawn."""

    WHOLE = "whole"
    SINGLE = "single"


class Every(Vecq):
    """A setting of each kind.

    Parameters
    ----------
    rows : bool
        Whether :class:`rows` are drawn
        *whole*.
    count, most : int
        How many.
    rate : float
        How quickly.
    base : str
        Whose codes they are.
    draw : Draw
        What is drawn.
    stages : tuple of float
        When.
    widths : tuple of int
        How wide.
    seed : int, optional
        From which numbers.

    Notes
    -----
    stages : nothing that counts
    """

    def __init__(
        self,
        w: torch.Tensor,
        bits: int,
        rows: bool = False,
        count: int = 3,
        most: int = 5,
        rate: float = 0.5,
        base: str = "vecq",
        draw: Draw = Draw.WHOLE,
        stages: tuple[float, ...] = (0.5, 1.0),
        widths: tuple[int, ...] | None = None,
        seed: int | None = 4,
    ) -> None:
        super().__init__(w, bits)
        self.given = (rows, count, most, rate, base, draw, stages, widths, seed)


@pytest.fixture(autouse=True)
def every(monkeypatch):
    """The method 'every'."""
    monkeypatch.setitem(METHODS, "every", Every)


TEXT = (
    "rows=True, count=-2,most=7,rate=1e-3,base=twn,draw=single,stages=0.5/0.75/ 1,widths=3,"
    "seed=none"
)
VALUES = (True, -2, 7, 1e-3, "twn", Draw.SINGLE, (0.5, 0.75, 1.0), (3,), None)


def test_a_text_sets_every_kind():
    options = method_options("every", TEXT)
    assert tuple(options.values()) == VALUES
    assert [type(value) for value in options["stages"]] == [float] * 3
    assert type(options["draw"]) is str
    quantizer = weight_method("every", **options)(torch.ones(2, 3), 4)
    assert quantizer.given == VALUES
    assert type(quantizer.given[5]) is Draw
    numbers = weight_method("every", count=np.int64(2), rate=1, stages=[1, np.float32(0.5)])
    given = numbers(torch.ones(2, 3), 4).given
    assert (given[1], given[3], given[6]) == (2, 1.0, (1.0, 0.5))
    assert (type(given[1]), type(given[3])) == (int, float)


def test_what_a_setting_says_of_itself():
    known = method_settings(Every)
    assert {name: (one.wanted, one.shown(), one.meaning) for name, one in known.items()} == {
        "rows": ("True or False", "false", "Whether rows are drawn whole."),
        "count": ("a whole number", "3", "How many."),
        "most": ("a whole number", "5", "How many."),
        "rate": ("a number", "0.5", "How quickly."),
        "base": ("a name", "vecq", "Whose codes they are."),
        "draw": ("one of whole, single", "whole", "What is drawn."),
        "stages": ("a list of numbers", "0.5/1", "When."),
        "widths": ("a list of whole numbers, or none", "none", "How wide."),
        "seed": ("a whole number, or none", "4", "From which numbers."),
    }
    for name, one in known.items():  # what is shown can be read
        assert one.read(one.shown(), name) == one.plain(one.default)


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_has_a_meaning_and_a_default(method):
    for name, one in settings_of(method).items():
        assert one.meaning.endswith("."), name
        assert one.read(one.shown(), name) == one.plain(one.default)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rows=1", "method 'every': rows is True or False, not '1'"),
        ("count=1.5", "count is a whole number, not '1.5'"),
        ("count=none", "count is a whole number, not 'none'"),
        ("rate=nan", "rate is a number, not nan"),
        ("rate=1e999", "rate is a number, not inf"),
        ("rate=0x1", "rate is a number, not '0x1'"),
        ("draw=both", "draw is one of whole, single, not 'both'"),
        ("stages=0.5//1", "stages is a list of numbers, not ''"),
        ("stages=0.5/x", "stages is a list of numbers, not 'x'"),
        ("widths=3/1.5", "widths is a list of whole numbers, or none, not '1.5'"),
        ("seed=" + "9" * 5000, "seed is a whole number, or none, not '999"),
    ],
)
def test_other_texts_are_refused(text, says):
    with pytest.raises(VecqError) as error:
        method_options("every", text)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"rows": 1},
        {"count": True},
        {"count": 2.0},
        {"rate": math.nan},
        {"rate": "1"},
        {"base": None},
        {"draw": "both"},
        {"draw": ["whole"]},
        {"stages": ()},
        {"stages": 0.5},
        {"stages": (0.5, None)},
        {"stages": "0.5"},
        {"widths": (1, 2.5)},
    ],
)
def test_other_values_are_refused(options):
    (name,) = options
    with pytest.raises(VecqError, match=f"method 'every': {name} is"):
        weight_method("every", **options)


def test_a_checkpoint_keeps_them(tmp_path):
    recipe = ModelRecipe(
        model="mlp", shape=(4,), classes=3, method="every", options=method_options("every", TEXT)
    )
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(recipe.build(), recipe, path)
    model, read = load_checkpoint(path)
    assert read == recipe
    found = [module for module in model.modules() if isinstance(module, WeightQuantizer)]
    assert {one.given for one in found if isinstance(one, Every)} == {VALUES}


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("vekq", {}, "there is no method 'vekq' for weights; did you mean 'vecq'?"),
        ("LSQ", {}, "there is no method 'LSQ' for weights; did you mean 'lsq'?"),
        ("x", {}, "there are vecq, bwn, twn"),
        ("lsq", {"per_channel": True}, "method 'lsq' has no setting 'per_channel'; it has none"),
        ("vecq", {"step": 1}, "no setting 'step'; it has per_channel, interval, spread"),
        ("vecq", {"interval": "best"}, "interval is one of paper, exact, search, not 'best'"),
        ("vecq", {"spread": None}, "spread is one of rms, std, not None"),
        ("twn", {"per_channel": "yes"}, "per_channel is True or False, not 'yes'"),
        ("mul2q", {"mean": 1}, "mean is True or False, not 1"),
        (5, {}, "there is no method '5' for weights; there are vecq"),
    ],
)
def test_unknown_methods_and_settings_are_refused(name, options, says):
    with pytest.raises(VecqError) as error:
        weight_method(name, **options)
    assert says in str(error.value)


@pytest.mark.parametrize("name", METHODS)
def test_a_text_says_every_setting_of_every_method(name):
    kind = METHODS[name]
    known, own = settings_of(name), list(inspect.signature(kind).parameters)[2:]
    assert [*known][: len(own)] == own
    assert name == "sq" or len(known) == len(own)  # those of its base behind them
    if known:
        text = ", ".join(f"{option}={one.shown()}" for option, one in known.items())
        options = method_options(name, text)
        assert options == {option: one.plain(one.default) for option, one in known.items()}
        assert type(weight_method(name, **options)(torch.ones(6, 5, 3), kind.BITS[0])) is kind


def test_settings_reach_the_quantizer():
    options = method_options("vecq", "interval=search, spread=std,per_channel=True")
    quantizer = weight_method("vecq", **options)(torch.ones(2, 3), 2)
    assert (quantizer.interval, quantizer.spread) == (Interval.SEARCH, Spread.DEVIATION)
    assert quantizer.per_channel


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("vecq", "interval", "method options are NAME=VALUE,NAME=VALUE,..., not 'interval'"),
        ("vecq", "=exact", "method options are NAME=VALUE"),
        ("vecq", "interval=exact,", "method options are NAME=VALUE"),
        ("vecq", "spread=std,spread=rms", "name 'spread' twice"),
        ("vecq", "interval=fast", "interval is one of paper, exact, search, not 'fast'"),
        ("vecq", "per_channel=maybe", "per_channel is True or False, not 'maybe'"),
        ("lsq", "step=1", "method 'lsq' has no setting 'step'; it has none"),
        ("vecc", "spread=std", "did you mean 'vecq'"),
    ],
)
def test_settings_in_a_text_are_checked(name, text, says):
    with pytest.raises(VecqError, match=says):
        method_options(name, text)

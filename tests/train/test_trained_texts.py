"""VecQ's network for IMDB, trained on some reviews, on every target: each integer, each cycle."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vecq_hw import data
from vecq_hw.accelerator import balance
from vecq_hw.layers import Conv2d, Dense, Embedding, Lstm, MaxPool2d
from vecq_hw.lower import lower
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import build_model, fit, quantize_model
from vecq_hw.verify.compare import Row, Status, verify
from vecq_hw.verify.targets import choose

SEEN, IN_CPP, IN_RTL = 8000, 200, 50
INTERVAL = 10_000
"""Cycles of a review at most."""


@pytest.mark.nightly
@pytest.mark.needs_verilator
@pytest.mark.skipif("VECQ_DATA" not in os.environ, reason="needs the data sets")
def test_reviews_on_every_target(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    reviews = data.load("imdb")
    chosen = torch.randperm(len(reviews.x_train), generator=torch.manual_seed(0))[:SEEN].numpy()
    some = replace(reviews, x_train=reviews.x_train[chosen], y_train=reviews.y_train[chosen])
    twin = quantize_model(build_model("imdb", some.shape, 2), 2, 8, input_shape=some.shape)
    fit(twin, some, epochs=2, learning_rate=2e-3, progress=False)
    network = lower(twin, some.shape, name="imdb")
    assert {type(layer) for layer in network.layers} >= {Embedding, Conv2d, MaxPool2d, Lstm, Dense}
    # The file begins with negative reviews and ends with positive ones.
    x = network_inputs(network, reviews.x_test[:: len(reviews.x_test) // IN_CPP][:IN_CPP])
    y = reviews.y_test[:: len(reviews.y_test) // IN_CPP][:IN_CPP]
    assert (predictions(network, simulate(network, x)) == y).mean() > 0.7
    rows = list[Row]()
    for names, count in ((["hls", "hls-dpi"], IN_CPP), (["rtl"], IN_RTL)):
        report = verify(
            network,
            x[:: IN_CPP // count],
            targets=choose(names),
            folder=tmp_path,
            schedule=balance(network, INTERVAL),
        )
        rows += report.rows
    assert [row.status for row in rows] == [Status.PASSED] * 3, rows
    assert all(row.distinct_outputs > IN_RTL // 2 for row in rows)
    record_property("data", "IMDB, 100 words")
    record_property("images", sum(row.vectors for row in rows))
    record_property("integers", sum(row.outputs for row in rows))
    record_property("mismatches", sum(row.mismatches for row in rows))

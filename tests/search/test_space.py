"""What may be chosen, what contradicts what, and which trials make the front."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vecq_hw.errors import VecqError
from vecq_hw.search import Choice, Measured, Record, Request, State
from vecq_hw.search.front import front_of
from vecq_hw.search.sensitivity import (
    Outlook,
    Products,
    Sensitivity,
    greedy_path,
    spread,
    warm_points,
)
from vecq_hw.search.space import make_space, point_text
from vecq_hw.search.study import Study
from vecq_hw.search.trial import Rival, _is_hopeless

LAYERS = ("a", "b", "c")
USUAL = {
    "bits": (1, 2, 4),
    "activation_bits": (8,),
    "methods": ("vecq",),
    "scales": ("tensor",),
    "keep": {},
}
REQUEST = Request(device="ecp5-25k", target_fps=1000.0, clock_mhz=100.0)


def test_a_grid_has_each_point_once_and_places_are_reversible() -> None:
    space = make_space(LAYERS, **USUAL | {"keep": {"b": 8}, "activation_bits": (4, 8)})
    points = [*space.grid()]
    assert len(points) == space.size == 6 * 2 * 6
    assert len({tuple(point.values()) for point in points}) == space.size
    assert all(space.point(space.places(point)) == point for point in points)
    assert {choice.weight_bits for choice in space.layers["b"]} == {8}
    assert point_text(space.smallest()) == "W1:A4 W8:A4 W1:A4"


def test_uniform_points_leave_kept_layers_alone() -> None:
    space = make_space(LAYERS, **USUAL | {"keep": {"b": 8}})
    found = space.uniform()
    assert {bits: point_text(point) for bits, point in found.items()} == {
        1: "W1 W8 W1",
        2: "W2 W8 W2",
        4: "W4 W8 W4",
    }
    narrow = make_space(LAYERS, **USUAL | {"keep": {"b": 8}, "activation_bits": (4, 6)})
    assert {bits: point_text(point) for bits, point in narrow.uniform().items()} == {
        1: "W1:A6 W8:A6 W1:A6",
        2: "W2:A6 W8:A6 W2:A6",
        4: "W4:A6 W8:A6 W4:A6",
    }
    assert make_space(("a",), **USUAL | {"keep": {"a": 8}}).uniform() == {}


def test_learned_widths_begin_with_the_most_bits_where_their_method_is_asked_for() -> None:
    wishes = {**USUAL, "bits": (2, 4, 8), "activation_bits": (4, 8), "keep": {"b": 8}}
    space = make_space(
        LAYERS, activated=("a",), **{**wishes, "methods": ("vecq", "dropbits", "alq")}
    )
    found = {name: point_text(point) for name, point in space.learned().items()}
    assert found.keys() == {"dropbits", "alq"}
    assert found == {
        "dropbits": "W8:dropbits W8:dropbits W8:dropbits",
        "alq": "W4:alq W8 W4:alq",
    }
    assert make_space(LAYERS, **wishes).learned() == {}


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"keep": {"a": 8}, "methods": ("bwn",)}, ["--keep a=8", "--methods bwn", "1 bit"]),
        ({"bits": (3, 4), "methods": ("twn", "ttq")}, ["--bits 3,4", "--methods twn,ttq"]),
        ({"methods": ("bwn", "vecq"), "keep": {"conv": 8}}, ["--keep", "'conv'"]),
        ({"bits": (17,)}, ["--bits", "1 to 16"]),
        ({"methods": ("vec",)}, ["'vec'", "vecq"]),
        ({"scales": ("row",)}, ["--scales", "row"]),
        ({"methods": ()}, ["--methods"]),
    ],
)
def test_wishes_that_contradict_each_other_are_named(wishes: dict, words: list[str]) -> None:
    with pytest.raises(VecqError) as error:
        make_space(LAYERS, **USUAL | wishes)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"device": "ecp5-58k"}, ["ecp5-85k"]),
        ({"device": "gatemate-a1"}, ["cost model", "ecp5"]),
        ({"target_fps": 2e8}, ["--target-fps", "--clock-mhz", "nearest"]),
        ({"target_fps": float("nan")}, ["--target-fps"]),
        ({"min_accuracy": 97.0}, ["--min-accuracy"]),
        ({"objectives": ("luts", "beauty")}, ["beauty", "latency"]),
        ({"preset": "cnn-digit"}, ["cnn-digits"]),
    ],
)
def test_a_request_is_refused_in_a_sentence(wishes: dict, words: list[str]) -> None:
    with pytest.raises(VecqError) as error:
        replace(REQUEST, **wishes)
    assert all(word in str(error.value) for word in words)


def test_a_request_is_read_as_it_was_written() -> None:
    request = replace(REQUEST, keep={"a": 3}, bits=(1, 5), min_accuracy=0.5)
    assert Request.of(request.tree()) == request
    assert replace(request, trials=7).study_name == request.study_name
    assert replace(request, seed=7).study_name != request.study_name


def measured(accuracy: float | None, luts: float, over: float = -0.5) -> Measured:
    return Measured(
        integer_accuracy=accuracy,
        luts=luts,
        ffs=1.0,
        carries=1.0,
        brams=1.0,
        dsps=0.0,
        memory_bits=1,
        cycles=10.0,
        latency_cycles=10,
        frames_per_second=1.0,
        estimated_clock_mhz=1.0,
        size_bytes=1,
        excess={"luts": over},
    )


def test_the_front_is_what_nothing_beats_within_the_limits() -> None:
    numbers = [
        (0.9, 100.0, -1.0),  # front
        (0.8, 100.0, -1.0),  # less accurate, as large
        (0.8, 50.0, -1.0),  # front
        (0.8, 50.0, -1.0),  # its equal, later
        (0.99, 500.0, 0.1),  # does not fit
        (None, 10.0, -1.0),  # not trained to its end
        (0.4, 10.0, -1.0),  # too inaccurate
        (0.95, 400.0, 0.0),  # front: just fits
    ]
    records = [
        Record(
            number=number,
            state=State.FINISHED,
            point={"a": Choice(weight_bits=1)},
            measured=measured(*row),
            sentence="",
        )
        for number, row in enumerate(numbers)
    ]
    request = replace(REQUEST, min_accuracy=0.5)
    assert [one.number for one in front_of(records, request)] == [7, 0, 2]
    assert [one.number for one in front_of(records, REQUEST)] == [7, 0, 2, 6]


def test_a_trial_is_hopeless_beside_three_that_are_no_worse() -> None:
    rivals = [Rival(costs=(10.0,), accuracies=(0.5, 0.9))] * 3
    assert _is_hopeless([0.5], (10.0,), rivals)
    assert _is_hopeless([0.1, 0.9], (11.0,), rivals)
    assert not _is_hopeless([0.51], (10.0,), rivals)
    assert not _is_hopeless([0.5], (9.0,), rivals)
    assert not _is_hopeless([0.5], (10.0,), rivals[:2])
    assert not _is_hopeless([0.1, 0.1, 0.1], (10.0,), rivals)


def test_the_greedy_path_gives_up_first_what_costs_least() -> None:
    space = make_space(("a", "b"), **USUAL)
    losses = {"a": {1: 4.0, 2: 2.0, 4: 0.0}, "b": {1: 9.0, 2: 0.5, 4: 0.0}}
    found = [
        Sensitivity(layer=name, weights=1, energy=1.0, orientation={}, direct={}, loss=loss)
        for name, loss in losses.items()
    ]

    def path(lanes: dict[str, int]) -> list[str]:
        products = Products(lanes=lanes)
        return [point_text(point) for point in greedy_path(space, found, products)]

    assert path({"a": 1, "b": 1}) == ["W4 W4", "W4 W2", "W2 W2", "W1 W2", "W1 W1"]
    assert path({"a": 100, "b": 1})[:3] == ["W4 W4", "W2 W4", "W1 W4"]


def test_the_greedy_path_narrows_activations_where_their_readers_multiply_most() -> None:
    space = make_space(("a", "b"), **{**USUAL, "bits": (4,), "activation_bits": (2, 4, 8)})
    flat = [
        Sensitivity(layer=name, weights=1, energy=1.0, orientation={}, direct={}, loss={4: 0.0})
        for name in "ab"
    ]
    rises = {"a": {2: 3.0, 4: 0.1, 8: 0.0}}  # nothing reads what follows b
    products = Products(lanes={"a": 1, "b": 6}, sources={"b": "a"})
    path = greedy_path(space, flat, products, rises)
    assert [point_text(point) for point in path] == ["W4 W4", "W4:A4 W4", "W4:A2 W4"]
    assert [products.bits(point) for point in path] == [4 * 8 + 4 * 8 * 6, 32 + 96, 8 * 4 + 48]
    assert spread(path, products.bits, 2) == [path[0], path[-1]]


def test_what_is_a_whole_product_has_an_axis_for_each_choice() -> None:
    """An optimizer may then change one of them alone; other lists have one axis."""
    wishes = {**USUAL, "activation_bits": (2, 4), "keep": {"b": 8}}
    space = make_space(("a", "b", "c"), activated=("a",), **wishes)
    assert space.axes == {"a.weight_bits": 3, "a.activation_bits": 2, "b.weight_bits": 1} | {
        "c.weight_bits": 3
    }
    ternary = make_space(("a",), **{**USUAL, "methods": ("vecq", "twn")})
    assert ternary.axes == {"a": len(ternary.layers["a"])}
    for one in (space, ternary):
        for point in one.grid():
            places = one.places(point)
            assert places.keys() == one.axes.keys()
            assert all(place < one.axes[name] for name, place in places.items())
            assert one.point(places) == point


def test_pairs_have_one_width_for_weights_and_one_for_activations() -> None:
    wishes = {**USUAL, "activation_bits": (2, 4, 8), "keep": {"b": 8}, "bits": (1, 8)}
    space = make_space(LAYERS, activated=("a", "b"), **wishes)
    assert {widths: point_text(point) for widths, point in space.pairs().items()} == {
        (1, 2): "W1:A2 W8:A2 W1",
        (1, 4): "W1:A4 W8:A4 W1",
        (8, 2): "W8:A2 W8:A2 W8",
        (8, 4): "W8:A4 W8:A4 W8",
    }
    assert make_space(LAYERS, **USUAL).pairs() == {}


def test_a_search_begins_with_narrow_pairs_and_mixtures_no_wider_than_they() -> None:
    bits, given = (1, 2, 3, 4, 8), (2, 4, 6, 8)
    space = make_space(
        LAYERS, activated=("a", "b"), **{**USUAL, "bits": bits, "activation_bits": given}
    )
    layers = [
        Sensitivity(
            layer=name,
            weights=1,
            energy=1.0,
            orientation={},
            direct={},
            loss={width: share * 4.0**-width for width in bits},
        )
        for name, share in zip(LAYERS, (4.0, 1.0, 1.0), strict=True)
    ]
    products = Products(lanes={"a": 1, "b": 8, "c": 2}, sources={"b": "a", "c": "b"})
    outlook = Outlook(
        layers=layers,
        products=products,
        activations={name: {width: 8.0 * 4.0**-width for width in given} for name in "ab"},
    )
    points = warm_points(space, outlook, 24)
    texts = [point_text(point) for point in points]
    assert texts[:6] == [
        "W4:A4 W4:A4 W4",
        "W3:A4 W3:A4 W3",
        "W2:A4 W2:A4 W2",
        "W3:A2 W3:A2 W3",
        "W2:A2 W2:A2 W2",
        "W1:A2 W1:A2 W1",
    ]
    assert texts[6:8] == ["W4:A4 W3:A6 W4", "W4:A4 W2:A6 W3"]
    assert len(points) <= 12
    assert all(products.bits(point) <= products.bits(points[0]) for point in points)
    # Without activations to narrow, the path alone: from the most bits to the fewest.
    plain = make_space(LAYERS, **USUAL | {"bits": bits})
    only = warm_points(plain, Outlook(layers=layers, products=products), 8)
    assert [point_text(one) for one in (only[0], only[-1])] == ["W8 W8 W8", "W1 W1 W1"]
    assert warm_points(space, outlook, 0) == []


def test_children_are_of_the_points_that_a_search_began_with() -> None:
    space = make_space(LAYERS, **USUAL | {"bits": tuple(range(1, 9))})
    study = Study(None, "warm", space, Measured, objectives=1, population=8)
    narrow = [point for point in space.grid() if max(c.weight_bits for c in point.values()) <= 2]
    study.enqueue(narrow)
    for place in range(8):
        number, point = study.ask()
        assert point == narrow[place]
        bits = float(sum(choice.weight_bits for choice in point.values()))
        study.finish(number, measured(0.9, bits), (0.9 + bits / 100, bits), {})
    asked = [study.ask()[1] for _ in range(20)]
    genes = [choice.weight_bits <= 2 for point in asked for choice in point.values()]
    assert sum(genes) > 0.6 * len(genes)  # a mutation draws anew; drawn at random it is a quarter

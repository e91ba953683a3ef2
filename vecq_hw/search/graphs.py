"""Search for the widths of a graph convolutional network: few stored bits at a wanted accuracy.

The automatic bit selection of Feng et al., *SGQuant*, ICTAI 2020, measures widths that are drawn at
random, fits a regression tree to their accuracies, measures those of the fewest bits among the ones
that the tree holds to be accurate enough, and fits it again; here it is the mean of many trees.
Optuna's samplers do the same job.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vecq_hw.arguments import real_number, whole_number
from vecq_hw.data.graphs import Graph
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, checked_weight_bits
from vecq_hw.lower.graph_convolution import lower_graph
from vecq_hw.search.engine import Engine, Failure, Here
from vecq_hw.search.study import Record, Study
from vecq_hw.simulate import simulate
from vecq_hw.train.graph_bits import HIDDEN, GraphBits, feature_memory
from vecq_hw.train.graph_convolution import (
    GraphSettings,
    node_accuracy,
    predict_nodes,
    train_graph,
)

GRAPH_OPTIMIZERS = ("abs", "nsga2", "tpe", "random")
BUCKETS = (4, 8, 16)
"""Limits of the numbers of neighbours between which nodes have widths of their own."""
ALLOWED_LOSS = 0.01
"""By so much the accuracy may be below that of the float network, unless it is given."""
DRAWN_SHARE = 2
"""One trial in so many is drawn at random before the first trees."""
ROUND = 4
"""Trials from one fit of the trees to the next."""
CANDIDATES = 1 << 14
"""Points that the trees are asked about."""
MOVED = 0.25
"""Which part of the places of a point may change, of half of those points: the others are drawn."""
TREES = 60

GraphPoint = Mapping[str, int]
"""A width for each place of a :class:`GraphSpace`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSpace:
    """Widths of the weights of each layer, and of messages and states by numbers of neighbours.

    Attributes
    ----------
    weights, features : tuple of int
        The widths that may be chosen, the fewest bits first; features are messages and states.
    buckets : tuple of int, rising
        As of :class:`~vecq_hw.train.graph_bits.GraphBits`.
    """

    weights: tuple[int, ...] = tuple(range(1, 9))
    features: tuple[int, ...] = tuple(range(1, 9))
    buckets: tuple[int, ...] = BUCKETS

    def __post_init__(self) -> None:
        for name in ("weights", "features"):
            widths = getattr(self, name)
            if not widths:
                raise VecqError(f"a space without widths of {name} has no points")
            object.__setattr__(self, name, tuple(sorted(set(map(checked_weight_bits, widths)))))

    @property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """The widths that each place may have, by its name."""
        buckets = [f"{kind} from {least}" for kind in _FEATURES for least in (0, *self.buckets)]
        return {
            **dict.fromkeys(_WEIGHTS, self.weights),
            **dict.fromkeys(buckets, self.features),
        }

    @property
    def axes(self) -> dict[str, int]:
        """How many widths each of its places may have."""
        return {name: len(widths) for name, widths in self.layers.items()}

    @property
    def size(self) -> int:
        """How many points there are."""
        return math.prod(map(len, self.layers.values()))

    def point(self, places: Mapping[str, int]) -> GraphPoint:
        """The point of one index in the list of each place."""
        return {name: widths[places[name]] for name, widths in self.layers.items()}

    def places(self, point: GraphPoint) -> dict[str, int]:
        """The reverse of :meth:`point`."""
        return {name: widths.index(point[name]) for name, widths in self.layers.items()}

    def bits(self, point: GraphPoint) -> GraphBits:
        """As a network takes them."""
        first, second = (point[name] for name in _WEIGHTS)
        messages, states = (
            tuple(point[f"{kind} from {least}"] for least in (0, *self.buckets))
            for kind in _FEATURES
        )
        return GraphBits(
            weights=(first, second), messages=messages, states=states, buckets=self.buckets
        )

    def text(self, point: GraphPoint) -> str:
        """The widths in a line."""
        return str(self.bits(point))


_WEIGHTS = ("weights 1", "weights 2")
_FEATURES = ("messages", "states")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphMeasured:
    """What a trial came to.

    Attributes
    ----------
    integer_accuracy : float
        Of the integer network, on the validation nodes.
    stored_bits : int
        Of weights, messages and states together; the words have one bit each whatever is chosen.
    seconds : float
    reason : str
        Why there is no network, whose accuracy is 0 then; else empty.
    """

    integer_accuracy: float
    stored_bits: int
    seconds: float = 0.0
    reason: str = ""


GraphRecord = Record[int, GraphMeasured]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFound:
    """What a search has found.

    Attributes
    ----------
    trials : tuple of Record
        All, in the order in which they began.
    min_accuracy : float
        What was asked for.
    best : Record or None
        That of the fewest bits which is accurate enough, the most accurate of several; None where
        no trial was.
    """

    trials: tuple[GraphRecord, ...]
    min_accuracy: float
    best: GraphRecord | None

    @property
    def front(self) -> list[GraphRecord]:
        """The trials that no other is better than in accuracy and bits, the most accurate first."""
        order = sorted(
            (-one.measured.integer_accuracy, one.measured.stored_bits, one.number, one)
            for one in self.trials
            if one.measured is not None
        )
        found: list[GraphRecord] = []
        least = math.inf
        for _, stored, _, one in order:
            if stored < least:
                least = stored
                found.append(one)
        return found


def stored_bits(graph: Graph, bits: GraphBits) -> int:
    """How many bits weights, messages and states of all nodes take."""
    memory = feature_memory(graph, bits)
    first, second = bits.weights
    return memory.messages + memory.states + HIDDEN * (graph.words * first + graph.classes * second)


def measure_graph(graph: Graph, bits: GraphBits, settings: GraphSettings) -> GraphMeasured:
    """Train with these widths; equal arguments give equal results but for the seconds.

    With few enough bits all signals may die; such widths have nothing right.
    """
    begin = time.perf_counter()
    try:
        network = lower_graph(train_graph(graph, bits, settings))
    except VecqError as error:
        return GraphMeasured(
            integer_accuracy=0.0,
            stored_bits=stored_bits(graph, bits),
            seconds=time.perf_counter() - begin,
            reason=str(error),
        )
    classes = simulate(network, graph.codes)[0, 0].argmax(axis=1)
    return GraphMeasured(
        integer_accuracy=node_accuracy(graph, classes, graph.val),
        stored_bits=stored_bits(graph, bits),
        seconds=time.perf_counter() - begin,
    )


def float_accuracy(graph: Graph, settings: GraphSettings) -> float:
    """The float network's, of the validation nodes."""
    return node_accuracy(graph, predict_nodes(train_graph(graph, None, settings)), graph.val)


def search_graph(
    graph: Graph,
    space: GraphSpace,
    settings: GraphSettings,
    *,
    trials: int,
    optimizer: str = "abs",
    min_accuracy: float | None = None,
    place: Engine | None = None,
    known: dict[GraphBits, GraphMeasured] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> GraphFound:
    """Search for the fewest stored bits; the test nodes are not looked at.

    Parameters
    ----------
    settings : GraphSettings
        Of each training; its seed is that of the search, too.
    trials : int
        How many widths are measured.
    optimizer : str
        Of :data:`GRAPH_OPTIMIZERS`; 'abs' is SGQuant's.
    min_accuracy : float, 0..1, optional
        Of the validation nodes; :data:`ALLOWED_LOSS` below the float network's unless it is given.
    place : Engine, optional
        Where trials run; else in this process.
    known : dict, optional
        What was measured before with the same settings; what is measured now joins it.
    tell : callable
        Given a line for each step.

    Raises
    ------
    VecqError
        No such optimizer, an impossible bound, or a trial failed.
    """
    whole_number(trials, "there is at least one trial", 1)
    if optimizer not in GRAPH_OPTIMIZERS:
        raise VecqError(
            f"--optimizer: a graph is searched by {', '.join(GRAPH_OPTIMIZERS)}, not '{optimizer}'"
        )
    if min_accuracy is None:
        tell("training the float network")
        min_accuracy = float_accuracy(graph, settings) - ALLOWED_LOSS
        tell(f"at least {100 * min_accuracy:.2f} % of the validation nodes are wanted")
    elif not 0 <= real_number(min_accuracy, "an accuracy is a share of the nodes, 0 to 1") <= 1:
        raise VecqError(f"--min-accuracy is a share of the nodes, 0 to 1, not {min_accuracy:g}")
    study = Study(
        None,
        "graph",
        space,
        GraphMeasured,
        objectives=1,
        optimizer="random" if optimizer == "abs" else optimizer,
        seed=settings.seed,
        population=min(24, max(8, trials // 8)),
    )
    _run(
        _Search(
            graph=graph,
            space=space,
            study=study,
            settings=settings,
            min_accuracy=min_accuracy,
            trials=trials,
            guided=optimizer == "abs",
            known={} if known is None else known,
            tell=tell,
        ),
        Here() if place is None else place,
    )
    records = tuple(study.records())
    return GraphFound(
        trials=records, min_accuracy=min_accuracy, best=best_of(records, min_accuracy)
    )


def best_of(records: Sequence[GraphRecord], min_accuracy: float) -> GraphRecord | None:
    """The one of the fewest bits that is accurate enough."""
    enough = [
        (one.measured.stored_bits, -one.measured.integer_accuracy, one.number, one)
        for one in records
        if one.measured is not None and one.measured.integer_accuracy >= min_accuracy
    ]
    return min(enough)[-1] if enough else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    graph: Graph
    space: GraphSpace
    study: Study[int, GraphMeasured]
    settings: GraphSettings
    min_accuracy: float
    trials: int
    guided: bool
    known: dict[GraphBits, GraphMeasured]
    tell: Callable[[str], None]


def _run(search: _Search, place: Engine) -> None:
    """Ask, measure and tell until all trials have ended."""
    study, running = search.study, dict[int, GraphBits]()

    def end(number: int, bits: GraphBits, found: GraphMeasured) -> None:
        search.known[bits] = found
        missed = search.min_accuracy - found.integer_accuracy
        values = found.integer_accuracy, float(found.stored_bits)
        study.finish(number, found, values, {"accuracy": missed})
        search.tell(
            f"trial {number} of {search.trials}: {bits}, {100 * found.integer_accuracy:.2f} %,"
            f" {found.stored_bits / 1000:.0f} kbit, {found.seconds:.1f} s"
        )

    while True:
        while len(running) < place.slots():
            ended, active, waiting = study.counts()
            if ended + active >= search.trials:
                break
            if search.guided and not waiting and ended >= search.trials // DRAWN_SHARE:
                study.enqueue(_promising(search, study.records()))
            number, point = study.ask()
            bits = search.space.bits(point)
            if bits in search.known:  # equal arguments give equal results
                end(number, bits, replace(search.known[bits], seconds=0.0))
                continue
            running[number] = bits
            place.submit(number, measure_graph, search.graph, bits, search.settings)
        if not running:
            return
        number, found = place.next_done()
        bits = running.pop(number)
        if isinstance(found, Failure):
            raise VecqError(f"trial {number}, {bits}: {found.sentence}")
        end(number, bits, found)


def _promising(search: _Search, records: Sequence[GraphRecord]) -> list[GraphPoint]:
    """The points of the fewest bits that regression trees hold to be accurate enough.

    Where they hold none to be, those of the greatest accuracy.  One tree alone holds that of the
    places which it does not ask about any width will do, and the fewest bits are the first to show
    that it is wrong; so it is the mean of many, in which more bits never lower the accuracy.
    """
    from sklearn.ensemble import RandomForestRegressor

    space, graph = search.space, search.graph
    names, lists = [*space.layers], [np.array(widths) for widths in space.layers.values()]
    met = [[one.point[name] for name in names] for one in records]
    accuracies = [one.measured.integer_accuracy for one in records if one.measured is not None]
    rng = np.random.default_rng((search.settings.seed, len(records)))
    trees = RandomForestRegressor(
        TREES,
        max_features=0.5,
        monotonic_cst=np.ones(len(names), np.int8),
        random_state=search.settings.seed,
    )
    trees.fit(met, accuracies)
    drawn = np.stack([rng.choice(one, CANDIDATES) for one in lists], axis=1)
    # Of so many points as there are, hardly one drawn so is like the best that is known.
    good = [row for row, it in zip(met, accuracies, strict=True) if it >= search.min_accuracy]
    near = rng.choice(good or [met[int(np.argmax(accuracies))]], CANDIDATES // 2)
    moved = rng.random(near.shape) < MOVED
    drawn[: len(near)] = np.where(moved, drawn[: len(near)], near)
    drawn = np.unique(drawn, axis=0)
    expected = trees.predict(drawn)
    measured = {tuple(row) for row in met}
    costs = (drawn * _bits_of_places(graph, space)).sum(axis=1)
    enough = expected >= search.min_accuracy
    order = np.lexsort((costs, np.where(enough, 0.0, -expected), ~enough))
    fresh = (row for row in map(tuple, drawn[order].tolist()) if row not in measured)
    return [dict(zip(names, row, strict=True)) for row in itertools.islice(fresh, ROUND)]


def _bits_of_places(graph: Graph, space: GraphSpace) -> IntArray:
    """By how much one more bit of each place raises the stored bits."""
    ones = dict.fromkeys(space.layers, 1)
    least = stored_bits(graph, space.bits(ones))
    return np.array([stored_bits(graph, space.bits({**ones, name: 2})) - least for name in ones])

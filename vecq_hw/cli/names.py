"""Names that a user types: what a shell completes, and what was probably meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

Known = Callable[[], Iterable[str]]

# Written down once more, and tested to be equal, since where they belong torch is loaded: that
# takes seconds, too long for a help text and for a key that was pressed.
PRESETS = (
    "lenet5-mnist",
    "vgg-cifar10",
    "vgg-quarter-cifar10",
    "lstm-imdb",
    "lstm-thucnews-titles",
    "unet-reduced-blended",
    "fpn-reduced-blended",
    "linknet-reduced-blended",
    "unetplusplus-reduced-blended",
    "vgg-svhn",
    "gru-keywords",
    "mlp-intrusion",
    "mlp-digits",
    "cnn-digits",
)
METHODS = (
    "vecq",
    "bwn",
    "twn",
    "ttq",
    "inq",
    "mul2q",
    "dorefa",
    "minmax",
    "tqt",
    "lsq",
    "esb",
    "alq",
    "pq",
    "sq",
    "elq",
    "srq",
    "dropbits",
)


class Choice(click.Choice[str]):
    """One of a few words; of any other the nearest one is named."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Say in one sentence what was given, what is wanted, and what was probably meant."""
        from vecq_hw.arguments import meant

        return f"{value!r} is not one of {', '.join(self.choices)}{meant(value, self.choices)}"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """Say on one line what may be given."""
        return f"One of {', '.join(self.choices)} is wanted."


class Name(click.ParamType[str]):
    """A name that a shell completes; whoever looks it up refuses those that there are not.

    Parameters
    ----------
    known : callable
        The names that there are, asked for by completion alone.
    separator : str
        Between several names, if there may be several.
    """

    name = "name"

    def __init__(self, known: Known, *, separator: str = "") -> None:
        self._known, self._separator = known, separator

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin with what was typed behind the last separator."""
        before, comma, begun = "", "", incomplete
        if self._separator:
            before, comma, begun = incomplete.rpartition(self._separator)
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in self._known()
            if name.startswith(begun)
        ]


class Names(Name):
    """Names with commas between them."""

    name = "names"

    def __init__(self, known: Known) -> None:
        super().__init__(known, separator=",")

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """A tuple of str."""
        if isinstance(value, tuple):
            return value
        return tuple(part.strip() for part in str(value).split(",") if part.strip())


def devices() -> Iterable[str]:
    """The names of :data:`vecq_hw.devices.DEVICES`."""
    from vecq_hw.devices import DEVICES

    return DEVICES


def boards() -> Iterable[str]:
    """The names of :data:`vecq_hw.implement.boards.boards.BOARDS`."""
    from vecq_hw.implement.boards.boards import BOARDS

    return BOARDS


def targets() -> Iterable[str]:
    """The names of the targets of :mod:`vecq_hw.verify.targets`."""
    from vecq_hw.verify.targets import ON_REQUEST, TARGETS

    return [target.name for target in (*TARGETS, *ON_REQUEST)]


def presets() -> Iterable[str]:
    """The names of :data:`vecq_hw.train.PRESETS`."""
    return PRESETS


def methods() -> Iterable[str]:
    """The names of :data:`vecq_hw.quantize.methods.METHODS`."""
    return METHODS

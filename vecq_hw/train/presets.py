"""Recipes by name: data, model and schedule that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vecq_hw.train.settings import Optimizer, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What to train on what, and how.

    Attributes
    ----------
    data, model : str
        As :func:`vecq_hw.data.load` and :func:`vecq_hw.train.build_model` take them.
    settings : Settings
    source : str
        Where the schedule comes from, and what that source leaves open.
    """

    data: str
    model: str
    settings: Settings
    source: str

    def settings_for(self, epochs: int | None) -> Settings:
        """The settings with another number of epochs; the milestones move in proportion.

        Where epochs are too few for all of them the learning rate falls to zero as a cosine, since
        a training that ends at a high one ends anywhere.
        """
        if epochs is None or epochs == self.settings.epochs:
            return self.settings
        milestones = self.settings.milestones
        if milestones is not None:
            moved = {round(at * epochs / self.settings.epochs) for at in milestones}
            within = tuple(sorted(at for at in moved if 0 < at < epochs))
            milestones = within if len(within) == len(milestones) else None
        return replace(self.settings, epochs=epochs, milestones=milestones)


_OPEN = "the optimizer is not stated there; SGD with momentum 0.9 is ours"

PRESETS: Mapping[str, Preset] = {
    "lenet5-mnist": Preset(
        data="mnist",
        model="lenet5",
        settings=Settings(
            epochs=55,
            batch_size=200,
            optimizer=Optimizer.SGD,
            learning_rate=0.01,
            milestones=(35, 50),
        ),
        source=f"VecQ, section 6.1.1; {_OPEN}",
    ),
    "vgg-cifar10": Preset(
        data="cifar10",
        model="vgg_like",
        settings=Settings(
            epochs=300,
            batch_size=128,
            optimizer=Optimizer.SGD,
            learning_rate=0.01,
            milestones=(250, 290),
            padding=4,
            flip=True,
        ),
        source=f"VecQ, section 6.1.1; {_OPEN}",
    ),
    "vgg-quarter-cifar10": Preset(
        data="cifar10",
        model="vgg_like_quarter",
        settings=Settings(
            epochs=15,
            batch_size=128,
            learning_rate=2e-3,
            padding=4,
            flip=True,
        ),
        source="ours: a quarter of the channels, for a CPU",
    ),
    "lstm-imdb": Preset(
        data="imdb",
        model="imdb",
        settings=Settings(epochs=2, batch_size=64, learning_rate=1e-3),
        source="the network of VecQ, section 6.1.1; the schedule is Keras' of this network, but for"
        " the batch and the cosine",
    ),
    "lstm-thucnews-titles": Preset(
        data="thucnews-titles",
        model="thucnews",
        settings=Settings(epochs=4, batch_size=128, learning_rate=3e-3),
        source="the network of VecQ, section 6.1.1; titles and schedule are ours",
    ),
    **{
        f"{network}-reduced-blended": Preset(
            data="blended-objects",
            model=f"{network}_reduced",
            settings=Settings(epochs=6, batch_size=16, learning_rate=2e-3),
            source="the network of VecQ, Table 11, with fewer channels; the schedule is ours",
        )
        for network in ("unet", "fpn", "linknet", "unetplusplus")
    },
    "vgg-svhn": Preset(
        data="svhn",
        model="vgg_like_quarter",
        settings=Settings(epochs=10, batch_size=128, learning_rate=2e-3, padding=2),
        source="ours: a quarter of the channels, for a CPU; numbers are not mirrored",
    ),
    "gru-keywords": Preset(
        data="keywords",
        model="gru_keywords",
        settings=Settings(epochs=20, batch_size=64, learning_rate=2e-3),
        source="ours: features of spoken words, (C, L) each",
    ),
    "mlp-intrusion": Preset(
        data="intrusion",
        model="mlp",
        settings=Settings(epochs=10, batch_size=256, learning_rate=2e-3),
        source="ours: features of a device's traffic, (C,) each",
    ),
    "mlp-digits": Preset(data="digits", model="mlp", settings=Settings(), source="ours"),
    "cnn-digits": Preset(data="digits", model="cnn", settings=Settings(), source="ours"),
}
"""By the name that ``vecq train --preset`` takes."""

"""Small models of sequences, vectors and texts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo import Case

WORDS = 20


class LastStep(nn.Module):
    """A recurrent layer's output of the last step, then a Linear."""

    def __init__(self, recurrent: nn.Module, features: int, classes: int = 3) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.fc = nn.Linear(features, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, C)."""
        outputs, _ = self.recurrent(x)
        return self.fc(outputs[:, -1])


class HiddenStateOfLstm(LastStep):
    """The same, read from the hidden state."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, C)."""
        _, (h, _) = self.recurrent(x)
        return self.fc(h[-1])


class HiddenStateOfGru(LastStep):
    """The same, read from the only state."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, C)."""
        _, h = self.recurrent(x)
        return self.fc(h[-1])


class EachStep(LastStep):
    """A class for each step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, C)."""
        return self.fc(self.recurrent(x)[0])


class Text(nn.Module):
    """Words, their vectors, and a model of the sequence."""

    def __init__(self, rest: nn.Module, channels: int = 6) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, channels)
        self.rest = rest

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """(N, L) indices."""
        return self.rest(self.embedding(words))


class MeanOfSteps(nn.Module):
    """The mean over steps, then a Linear."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, C)."""
        return self.fc(x.mean(1))


class LargestOfSteps(MeanOfSteps):
    """The largest over steps, then a Linear."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, C)."""
        return self.fc(x.amax(dim=1))


class ConvolutionOfText(nn.Module):
    """Convolutions over words, pooled, then an LSTM: the paper's IMDB network in small."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.conv = nn.Conv1d(6, 8, 3)
        self.pool = nn.MaxPool1d(2)
        self.lstm = nn.LSTM(8, 5, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """(N, L) indices."""
        x = F.relu(self.conv(self.embedding(words).transpose(1, 2)))
        outputs, _ = self.lstm(self.pool(x).transpose(1, 2))
        return self.fc(outputs[:, -1])


class Causal(nn.Module):
    """A dilated convolution that sees the past alone, with a residual."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(6, 6, 3, dilation=dilation)
        self.before = 2 * dilation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, L)."""
        return F.relu(self.conv(F.pad(x, (self.before, 0))) + x)


class MixerBlock(nn.Module):
    """Tokens mixed, then channels, as in MLP-Mixer but for its layer norms."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.tokens = nn.Sequential(nn.Linear(tokens, 8), nn.GELU(), nn.Linear(8, tokens))
        self.channels = nn.Sequential(nn.Linear(channels, 8), nn.GELU(), nn.Linear(8, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, C)."""
        x = x + self.tokens(x.transpose(1, 2)).transpose(1, 2)
        return x + self.channels(x)


def _lstm(inputs: int, hidden: int, **settings: object) -> nn.LSTM:
    return nn.LSTM(inputs, hidden, batch_first=True, **settings)


def _gru(inputs: int, hidden: int, **settings: object) -> nn.GRU:
    return nn.GRU(inputs, hidden, batch_first=True, **settings)


def _residual() -> nn.Module:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
            self.last = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(F.relu(self.second(F.relu(self.first(x))) + x))

    return Residual()


STEPS = {
    "LSTM, last step": lambda: LastStep(_lstm(4, 5), 5),
    "LSTM, hidden state": lambda: HiddenStateOfLstm(_lstm(4, 5), 5),
    "LSTM, each step": lambda: EachStep(_lstm(4, 5), 5),
    "LSTM, two layers": lambda: LastStep(_lstm(4, 5, num_layers=2), 5),
    "LSTM, both directions": lambda: LastStep(_lstm(4, 5, bidirectional=True), 10),
    "LSTM without bias": lambda: LastStep(_lstm(4, 5, bias=False), 5),
    "GRU, last step": lambda: LastStep(_gru(4, 5), 5),
    "GRU, hidden state": lambda: HiddenStateOfGru(_gru(4, 5), 5),
    "GRU, two layers": lambda: LastStep(_gru(4, 5, num_layers=2), 5),
    "Linear on each step": lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)),
    "mean over steps": lambda: MeanOfSteps(4),
    "largest over steps": lambda: LargestOfSteps(4),
    "MLP-Mixer block": lambda: nn.Sequential(nn.Linear(4, 6), MixerBlock(6, 6), nn.Linear(6, 3)),
}
TEXTS = {
    "Embedding, mean": lambda: Text(MeanOfSteps(6)),
    "Embedding, LSTM": lambda: Text(LastStep(_lstm(6, 5), 5)),
    "Embedding, GRU": lambda: Text(LastStep(_gru(6, 5), 5)),
    "Embedding, convolution, LSTM": ConvolutionOfText,
}
WAVES = {
    "Conv1d": lambda: nn.Sequential(
        nn.Conv1d(6, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 4, 3, stride=2)
    ),
    "Conv1d, MaxPool1d, Linear": lambda: nn.Sequential(
        nn.Conv1d(6, 8, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(40, 3)
    ),
    "AvgPool1d": lambda: nn.Sequential(nn.Conv1d(6, 8, 1), nn.ReLU(), nn.AvgPool1d(3)),
    "AdaptiveAvgPool1d(1)": lambda: nn.Sequential(
        nn.Conv1d(6, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3)
    ),
    "ConvTranspose1d": lambda: nn.Sequential(
        nn.Conv1d(6, 8, 3), nn.ReLU(), nn.ConvTranspose1d(8, 4, 2, stride=2)
    ),
    "temporal convolutions": lambda: nn.Sequential(Causal(1), Causal(2), nn.Conv1d(6, 3, 1)),
}
VECTORS = {
    "Linear": lambda: nn.Sequential(nn.Linear(8, 5)),
    "Linear alone": lambda: nn.Linear(8, 5),
    "perceptron": lambda: nn.Sequential(
        nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 3)
    ),
    "perceptron, residual": _residual,
    "autoencoder": lambda: nn.Sequential(
        nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 8)
    ),
    "perceptron, sigmoid": lambda: nn.Sequential(
        nn.Linear(8, 6), nn.Sigmoid(), nn.Linear(6, 1), nn.Sigmoid()
    ),
    "perceptron, softmax": lambda: nn.Sequential(
        nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3), nn.Softmax(dim=1)
    ),
}

CASES = [
    *(Case(name=n, kind="Vectors", make=make, shapes=((8,),)) for n, make in VECTORS.items()),
    *(Case(name=n, kind="Sequences", make=make, shapes=((6, 4),)) for n, make in STEPS.items()),
    *(Case(name=n, kind="Sequences", make=make, shapes=((6, 12),)) for n, make in WAVES.items()),
    *(
        Case(name=n, kind="Texts", make=make, shapes=((10,),), classes=(WORDS,))
        for n, make in TEXTS.items()
    ),
]

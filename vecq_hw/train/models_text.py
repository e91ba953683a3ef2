"""Networks for sequences: the paper's for texts (VecQ, section 6.1.1), one for spoken words."""

from __future__ import annotations

import torch
from torch import nn

from vecq_hw.errors import VecqError


class TextConvLSTM(nn.Module):
    """128E-64C5-MP4-70LSTM-1, the network for IMDB: 2,638,895 weights with 20,000 words.

    It takes word indices (N, L), L at least 8, and gives scores; its sigmoid is left to the loss.
    It begins as Keras' example of a CNN with an LSTM on this data, which the paper's network is.
    """

    def __init__(self, vocabulary: int = 20_000, outputs: int = 1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 128)
        self.dropout = nn.Dropout(0.25)
        self.conv = nn.Conv1d(128, 64, 5)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool1d(4)
        self.lstm = nn.LSTM(64, 70, batch_first=True)
        self.fc = nn.Linear(70, outputs)
        _begin_as_keras(self)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Scores (N, outputs)."""
        words = self.dropout(self.embedding(indices))
        features = self.pool(self.relu(self.conv(words.transpose(1, 2))))
        states, _ = self.lstm(features.transpose(1, 2))
        scores: torch.Tensor = self.fc(states[:, -1])
        return scores


class TextLSTM(nn.Module):
    """128E-128LSTM-128FC-10, the network for THUCNews; 5,000 characters give the sizes of Table 6.

    It takes character indices (N, L) and gives scores; its softmax is left to the loss.
    """

    def __init__(self, vocabulary: int = 5_000, outputs: int = 10) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 128)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.fc1 = nn.Linear(128, 128)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(128, outputs)
        _begin_as_keras(self)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Scores (N, outputs)."""
        states, _ = self.lstm(self.embedding(indices))
        scores: torch.Tensor = self.fc2(self.relu(self.fc1(states[:, -1])))
        return scores


class KeywordGRU(nn.Module):
    """64C5-BN-MP2-64C5-BN-MP2-64GRU, a ReLU behind each BN: spoken words by features of frames.

    It takes features (N, C, L), such as 40 cepstral coefficients of 98 frames, and gives scores.

    Parameters
    ----------
    shape : (C, L), L at least 4
    classes : int
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        if len(shape) != 2 or shape[1] < 4:
            raise VecqError(
                "the gru_keywords takes sequences (C, L) of at least 4 steps, not samples of"
                f" {shape}"
            )
        self.conv1 = nn.Conv1d(shape[0], 64, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm1d(64)
        self.conv2 = nn.Conv1d(64, 64, 5, padding=2, bias=False)
        self.bn2 = nn.BatchNorm1d(64)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool1d(2)
        self.gru = nn.GRU(64, 64, batch_first=True)
        self.fc = nn.Linear(64, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, classes)."""
        found = self.pool(self.relu(self.bn1(self.conv1(features))))
        found = self.pool(self.relu(self.bn2(self.conv2(found))))
        states, _ = self.gru(found.transpose(1, 2))
        scores: torch.Tensor = self.fc(states[:, -1])
        return scores


def _begin_as_keras(model: nn.Module) -> None:
    """Draw the parameters as Keras does by default.

    torch's vectors of words have a spread of 1, which hides what is learnt in a few epochs: on
    IMDB that costs 6 points of validation accuracy.
    """
    for module in model.modules():
        match module:
            case nn.Embedding():
                nn.init.uniform_(module.weight, -0.05, 0.05)
            case nn.LSTM(hidden_size=size):
                nn.init.xavier_uniform_(module.get_parameter("weight_ih_l0"))
                nn.init.orthogonal_(module.get_parameter("weight_hh_l0"))
                nn.init.zeros_(module.get_parameter("bias_hh_l0"))
                bias = module.get_parameter("bias_ih_l0")
                nn.init.zeros_(bias)
                nn.init.ones_(bias[size : 2 * size])  # of the gate that forgets
            case nn.Linear(bias=bias) | nn.Conv1d(bias=bias):
                nn.init.xavier_uniform_(module.weight)
                if bias is not None:
                    nn.init.zeros_(bias)
            case _:
                pass

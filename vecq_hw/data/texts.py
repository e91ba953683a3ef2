"""Texts with labels, as the indices of their tokens in a vocabulary."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vecq_hw.data.dataset import FIRST_WORD, Dataset, Labels, checked_dataset
from vecq_hw.errors import VecqError
from vecq_hw.unpack import NpzReader

Indices = npt.NDArray[np.int64]

PADDING, UNKNOWN = 0, 2
REVIEW_LENGTH, TITLE_LENGTH = 100, 32
"""Tokens of a review of IMDB and of a title."""
SHORTEST, LONGEST = 8, 100
"""The shortest and the longest sequence, in tokens, that texts of one's own file become."""
REVIEWS = "imdb.npz"
VOCABULARY = "vocabulary.txt"
_PARTS = ("train.txt", "dev.txt", "test.txt")
_MOST_WORDS = 1 << 12
"""The most words of a review in the file, so that all of them, padded, fit the memory."""
_HELD_OUT = 10
"""Every tenth text is held out where the data have no split of their own."""
_ENDINGS = (".txt", ".tsv")
_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Kana and Chinese characters: no blanks tell their words apart."""
_WORD = rf"[^\W_{_ALONE}]+"
_TOKEN = re.compile(rf"[{_ALONE}]|{_WORD}(?:'{_WORD})*")
_ARRAYS = tuple(f"{part}_{kind}" for part in ("train", "test") for kind in ("words", "lengths"))


@dataclass(frozen=True, slots=True)
class _Lines:
    """The texts of a file, and what stands behind the tabulator of each."""

    texts: list[str]
    labels: list[str]

    def at(self, places: Iterable[int]) -> _Lines:
        """Some of them."""
        chosen = list(places)
        return _Lines([self.texts[at] for at in chosen], [self.labels[at] for at in chosen])

    def without(self, texts: set[str]) -> _Lines:
        """Those whose text is none of these."""
        return self.at(at for at, text in enumerate(self.texts) if text not in texts)


def words(text: str) -> list[str]:
    """Runs of letters and digits in lower case, with inner apostrophes; Chinese by characters."""
    return _TOKEN.findall(text.lower())


def find_texts(path: Path) -> bool:
    """Whether ``path`` is a file of texts, or a folder with train.txt and test.txt."""
    if path.is_dir():
        return all((path / part).is_file() for part in (_PARTS[0], _PARTS[-1]))
    return path.suffix.lower() in _ENDINGS and path.is_file()


def find_reviews(path: Path) -> bool:
    """Whether ``path`` is a folder with the reviews of IMDB."""
    return (path / REVIEWS).is_file()


def read_texts(path: Path, name: str) -> Dataset:
    """Lines of ``text<TAB>label``, as the indices of words.

    Labels are 0, 1, 2, ... or names, which are numbered in their order.  Every tenth line of a
    single file is for the test; every tenth of the others is for validation.  A text has as many
    tokens as the longest one of training, at least 8 and at most 100.

    Parameters
    ----------
    path : Path
        A file, or a folder with ``train.txt``, ``test.txt`` and perhaps ``dev.txt``, which is for
        validation.  ``vocabulary.txt`` beside it, a token on each line, is taken where it exists.

    Raises
    ------
    VecqError
        A file cannot be read, a line has no label, the labels are no classes.
    """
    return _of_lines(path, name, words, None, 20_000)


def read_titles(path: Path, name: str) -> Dataset:
    """As :func:`read_texts`, but tokens are characters: the titles of THUCNews."""
    return _of_lines(path, name, list, TITLE_LENGTH, 5_000)


def read_reviews(path: Path, name: str) -> Dataset:
    """The reviews of ``imdb.npz``, whose last 100 words are taken; class 1 is positive.

    Parameters
    ----------
    path : Path
        A folder with ``vocabulary.txt`` and ``imdb.npz``.  That holds ``{train,test}_words``,
        indices of all reviews one behind the other, ``_lengths`` and ``_labels``.

    Raises
    ------
    VecqError
        Arrays that are missing, do not fit each other, or are beyond the vocabulary.
    """
    vocabulary, file = _vocabulary(path / VOCABULARY), path / REVIEWS
    if vocabulary is None:
        raise VecqError(f"{name}: there is no '{path / VOCABULARY}'")
    wanted = (*_ARRAYS, "train_labels", "test_labels")
    with file.open("rb") as stream:
        try:
            archive = NpzReader(stream)
            missing = [key for key in wanted if key not in archive.names]
            arrays = {} if missing else {key: archive.read(key) for key in wanted}
        except VecqError as error:
            raise VecqError(f"{name}: '{file}': {error}") from None
    if missing:
        raise VecqError(f"{name}: there is no '{missing[0]}' in '{file}'")
    for key in _ARRAYS:
        if arrays[key].dtype.kind not in "iu" or arrays[key].ndim != 1 or not arrays[key].size:
            raise VecqError(f"{name}: {key} is no list of integers")
    rows, keys = {}, {}
    most = max(int(arrays[f"{part}_lengths"].max()) for part in ("train", "test"))
    if most > _MOST_WORDS:
        raise VecqError(f"{name}: a review of {most} words; at most {_MOST_WORDS} are read")
    for part in ("train", "test"):
        flat, lengths = arrays[f"{part}_words"].astype(np.int64), arrays[f"{part}_lengths"]
        lengths = lengths.astype(np.int64)
        if lengths.min() < 0 or lengths.sum() != len(flat):
            raise VecqError(f"{name}: {part}_lengths do not sum up to the {len(flat)} words")
        if flat.min() < 0 or flat.max() >= FIRST_WORD + len(vocabulary):
            raise VecqError(
                f"{name}: {part}_words lie in {flat.min()}..{flat.max()}, but the vocabulary ends"
                f" at {FIRST_WORD + len(vocabulary) - 1}"
            )
        rows[part] = padded(flat, lengths, REVIEW_LENGTH)
        keys[part] = [row.tobytes() for row in padded(flat, lengths, most)]
    y_train, y_test = arrays["train_labels"], arrays["test_labels"]
    for labels, part in ((y_train, "train"), (y_test, "test")):
        if labels.shape != (len(rows[part]),):
            raise VecqError(f"{name}: {part}_labels are not one for each review")
    held = np.arange(len(y_train)) % _HELD_OUT == _HELD_OUT - 1
    seen = {*keys["test"], *(key for key, out in zip(keys["train"], held, strict=True) if out)}
    new = np.array([key not in seen for key in keys["train"]])
    parts = (
        (rows["train"][new], y_train[new]),
        (rows["train"][held], y_train[held]),
        (rows["test"], y_test),
    )
    doubled = int((~new & ~held).sum())
    return _dataset(name, parts, vocabulary, doubled, "the last 100 words of a review")


def padded(flat: Indices, lengths: Indices, length: int) -> Indices:
    """The last ``length`` indices of each text, zeros in front of a shorter one; (N, length).

    Parameters
    ----------
    flat : int array
        The indices of all texts, one behind the other.
    lengths : int array of shape (N,)
    """
    places = np.cumsum(lengths)[:, np.newaxis] + np.arange(-length, 0)
    there = np.arange(-length, 0) >= -lengths[:, np.newaxis]
    found: Indices = np.where(there, flat[np.where(there, places, 0)], PADDING)
    return found


def _of_lines(
    path: Path,
    name: str,
    tokens: Callable[[str], Sequence[str]],
    length: int | None,
    entries: int,
) -> Dataset:
    """``entries`` is the most that a vocabulary made here has, ``length`` that of each text."""
    train, validation, test = _split(path, name)
    seen = {*validation.texts, *test.texts}
    kept = train.without(seen)
    doubled = len(train.texts) - len(kept.texts)
    validation = validation.without({*test.texts})
    if not kept.texts or not validation.texts or not test.texts:
        raise VecqError(f"{name}: too few texts for training, validation and test; give more lines")
    stored = path / VOCABULARY if path.is_dir() else path.with_name(VOCABULARY)
    vocabulary = _vocabulary(stored)
    of_training = [tokens(text) for text in kept.texts]
    if vocabulary is None:
        counts = Counter(chain.from_iterable(of_training))
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        vocabulary = tuple(ranked[: entries - FIRST_WORD])
    if length is None:
        longest = max(map(len, of_training))
        length = min(max(longest, SHORTEST), LONGEST)
    numbers = _numbers(kept.labels)
    index = {token: FIRST_WORD + at for at, token in enumerate(vocabulary)}
    parts = []
    for lines in (kept, validation, test):
        found = [[index.get(one, UNKNOWN) for one in tokens(text)] for text in lines.texts]
        flat = np.fromiter(chain.from_iterable(found), np.int64)
        counted = np.array([len(one) for one in found])
        x = padded(np.append(flat, PADDING), counted, length)
        parts.append((x, _classes(name, lines.labels, numbers)))
    kind = "characters" if tokens is list else "words"
    return _dataset(name, parts, vocabulary, doubled, f"the last {length} {kind} of a text")


def _dataset(
    name: str,
    parts: Sequence[tuple[Indices, npt.NDArray[np.integer]]],
    vocabulary: tuple[str, ...],
    doubled: int,
    said: str,
) -> Dataset:
    """The data set of three parts: training, validation and test."""
    (x_train, y_train), (x_validation, y_validation), (x_test, y_test) = parts
    # Labels are checked by the rules of all data sets, of validation as those of a test.
    of_validation = checked_dataset(name, x_train, y_train, x_validation, y_validation)
    dataset = checked_dataset(name, x_train, y_train, x_test, y_test)
    notes: tuple[str, ...] = (
        f"{said} are read, padded in front; a vocabulary of {len(vocabulary):,} tokens;"
        f" {len(x_train):,} texts to train on, {len(x_validation):,} for validation,"
        f" {len(x_test):,} to test on",
    )
    if doubled:
        notes += (f"{doubled:,} training texts that validation or test have, too, are dropped",)
    return replace(
        dataset,
        x_train=x_train,
        x_test=x_test,
        validation=(x_validation, of_validation.y_test),
        vocabulary=vocabulary,
        notes=notes,
    )


def _split(path: Path, name: str) -> tuple[_Lines, _Lines, _Lines]:
    """Training, validation and test."""
    if path.is_dir():
        train, test = (_lines(path / part, name) for part in (_PARTS[0], _PARTS[-1]))
        if (path / _PARTS[1]).is_file():
            return train, _lines(path / _PARTS[1], name), test
    else:
        lines = _lines(path, name)
        train, test = _held_out(lines)
    return (*_held_out(train), test)


def _held_out(lines: _Lines) -> tuple[_Lines, _Lines]:
    places = range(len(lines.texts))
    last = _HELD_OUT - 1
    return (
        lines.at(at for at in places if at % _HELD_OUT != last),
        lines.at(at for at in places if at % _HELD_OUT == last),
    )


def _lines(path: Path, name: str) -> _Lines:
    found = _Lines([], [])
    for number, line in enumerate(_text(path, name).split("\n"), 1):
        if not line.strip():
            continue
        text, tabulator, label = line.removesuffix("\r").rpartition("\t")
        text, label = text.strip(), label.strip()
        if not tabulator or not text or not label:
            raise VecqError(
                f"{name}: line {number} of '{path}' is not a text, a tabulator and a label"
            )
        found.texts.append(text)
        found.labels.append(label)
    if not found.texts:
        raise VecqError(f"{name}: '{path}' holds no line")
    return found


def _text(path: Path, name: str) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise VecqError(f"{name}: line {line} of '{path}' is not UTF-8") from None


def _vocabulary(path: Path) -> tuple[str, ...] | None:
    """The tokens of a stored vocabulary, each on a line of its own."""
    if not path.is_file():
        return None
    found = _text(path, "the vocabulary").removesuffix("\n").split("\n")
    tokens = tuple(token.removesuffix("\r") for token in found)
    twice = [token for token, count in Counter(tokens).items() if count > 1 or not token]
    if twice:
        raise VecqError(
            f"the vocabulary '{path}' holds {twice[0]!r} more than once, or an empty line;"
            " one token on each line is wanted"
        )
    return tokens


def _numbers(labels: Sequence[str]) -> dict[str, int] | None:
    """The number of each named class; None where labels are numbers."""
    if all(re.fullmatch(r"-?[0-9]{1,9}", label) for label in labels):
        return None
    return {label: at for at, label in enumerate(sorted({*labels}))}


def _classes(name: str, labels: Sequence[str], numbers: dict[str, int] | None) -> Labels:
    found = []
    for label in labels:
        try:
            found.append(int(label) if numbers is None else numbers[label])
        except (KeyError, ValueError):
            raise VecqError(f"{name}: the label '{label}' is no class of training") from None
    return np.array(found, np.int64)

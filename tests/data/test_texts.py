"""Texts as the indices of their tokens."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vecq_hw import data
from vecq_hw.data.dataset import FIRST_WORD
from vecq_hw.data.texts import padded, words
from vecq_hw.errors import VecqError

ALONE = "这部电影"


def file_of(path, texts, labels):
    lines = [f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def distinct(count):
    return [f"film {number} was {'good' if number % 3 else 'bad'}" for number in range(count)]


def labels(count):
    return ["good" if number % 3 else "bad" for number in range(count)]


def reviews(folder, rng, **changes):
    arrays = {}
    for part, count in (("train", 40), ("test", 20)):
        lengths = rng.integers(1, 200, count)
        arrays[f"{part}_words"] = rng.integers(4, 54, lengths.sum()).astype(np.uint16)
        arrays[f"{part}_lengths"] = lengths.astype(np.uint16)
        arrays[f"{part}_labels"] = (np.arange(count) >= count // 2).astype(np.uint8)
    folder.mkdir()
    np.savez(folder / "imdb.npz", **(arrays | changes))
    (folder / "vocabulary.txt").write_text("".join(f"word{n}\n" for n in range(50)))
    return arrays


def test_words_are_lower_case_runs_and_chinese_characters():
    assert words("It's _a_ Café--'80s!") == ["it's", "a", "café", "80s"]
    assert words(f"{ALONE}2号 ok") == [*ALONE, "2", "号", "ok"]


def test_the_last_tokens_stay_and_padding_stands_in_front():
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 9, 30)
    flat = np.arange(1, lengths.sum() + 1)
    found, at = padded(flat, lengths, 5), 0
    for row, length in zip(found, lengths, strict=True):
        text = flat[at : at + length][-5:]
        at += length
        assert row.tolist() == [0] * (5 - len(text)) + text.tolist()


def test_a_file_is_split_and_its_vocabulary_made(tmp_path):
    texts, given = distinct(100), labels(100)
    path = file_of(tmp_path / "films.tsv", texts, given)
    found = data.load(path)
    assert found.shape == (8,)
    assert found.classes == 2
    assert [len(found.x_train), len(found.validation[0]), len(found.x_test)] == [81, 9, 10]
    # Every tenth is the test, every tenth of the others validation.
    others = [number for number in range(100) if number % 10 != 9]
    training = [at for place, at in enumerate(others) if place % 10 != 9]
    counts = Counter(word for at in training for word in words(texts[at]))
    vocabulary = sorted(counts, key=lambda word: (-counts[word], word))
    assert list(found.vocabulary) == vocabulary
    assert vocabulary[0] == "film"
    index = {word: FIRST_WORD + at for at, word in enumerate(vocabulary)}
    for x, y, places in (
        (found.x_train, found.y_train, training),
        (found.x_test, found.y_test, range(9, 100, 10)),
    ):
        for row, label, at in zip(x, y, places, strict=True):
            wanted = [index.get(word, 2) for word in words(texts[at])]
            assert row.tolist() == [0] * (8 - len(wanted)) + wanted
            assert label == (given[at] == "good")
    assert 2 in found.x_test  # numbers that no training text has
    assert found.x_train.dtype == np.int64
    assert "the last 8 words of a text" in found.notes[0]


def test_a_stored_vocabulary_is_taken(tmp_path):
    path = file_of(tmp_path / "films.txt", distinct(60), labels(60))
    (tmp_path / "vocabulary.txt").write_text("good\nbad\n")
    found = data.load(path)
    assert found.vocabulary == ("good", "bad")
    assert found.x_train[:, -1].tolist() == [4 + (label == 0) for label in found.y_train]
    assert set(np.unique(found.x_train)) == {0, 2, 4, 5}
    for content in ("good\ngood\n", "good\n\nbad\n"):
        (tmp_path / "vocabulary.txt").write_text(content)
        with pytest.raises(VecqError, match="one token on each line is wanted"):
            data.load(path)


def test_training_texts_of_the_test_are_dropped_and_the_output_says_so(tmp_path):
    train, dev, test = distinct(30), ["one dev", "two dev"], ["one test", "two test"]
    for name, texts in (
        ("train", [*train, "one dev", "two test", "two test"]),
        ("dev", [*dev, "two test"]),
        ("test", test),
    ):
        file_of(tmp_path / f"{name}.txt", texts, [at % 2 for at in range(len(texts))])
    found = data.load(tmp_path)
    assert [len(found.x_train), len(found.validation[0]), len(found.x_test)] == [30, 2, 2]
    assert "test" not in found.vocabulary
    assert found.notes[1] == "3 training texts that validation or test have, too, are dropped"
    titles = tmp_path / "thucnews-titles"
    titles.mkdir()
    for part in ("train", "dev", "test"):
        (tmp_path / f"{part}.txt").rename(titles / f"{part}.txt")
    named = data.load("thucnews-titles", tmp_path)
    assert named.shape == (32,)
    assert {" ", "f", "7"} <= {*named.vocabulary}


def test_reviews_of_imdb(tmp_path):
    arrays = reviews(tmp_path / "imdb", np.random.default_rng(0))
    found = data.load("imdb", tmp_path)
    assert found.shape == (100,)
    assert len(found.vocabulary) == 50
    held = np.arange(40) % 10 == 9
    wanted = padded(arrays["train_words"].astype(int), arrays["train_lengths"].astype(int), 100)
    assert np.array_equal(found.x_train, wanted[~held])
    assert np.array_equal(found.validation[0], wanted[held])
    assert found.y_test.tolist() == [0] * 10 + [1] * 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_lengths": np.ones(40, int)}, "train_lengths do not sum up"),
        ({"test_words": np.full(20, 54), "test_lengths": np.ones(20, int)}, "ends at 53"),
        ({"test_labels": np.zeros(19, int)}, "test_labels are not one for each"),
        ({"test_words": np.zeros((2, 2))}, "test_words is no list of integers"),
        ({"train_lengths": np.array([5000])}, "a review of 5000 words"),
    ],
)
def test_faulty_reviews(tmp_path, changes, message):
    reviews(tmp_path / "imdb", np.random.default_rng(0), **changes)
    with pytest.raises(VecqError, match=message):
        data.load("imdb", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good\t1\nno label\n", "line 2 of '.*' is not a text, a tabulator and a label"),
        (b"good\t1\n\t2\n", "line 2"),
        (b"good\t1\nbad\t\n", "line 2"),
        (b"good\t1\n\xff\t0\n", "line 2 of '.*' is not UTF-8"),
        (b"", "holds no line"),
        (b"good\t1\n", "too few texts"),
        (b"a\t0\nb\t2\n" * 20, "too few texts"),
        (b"".join(b"a%d\t%d\n" % (n, 2 * (n % 2)) for n in range(60)), "no sample of class 1"),
        (b"".join(b"a%d\t%s\n" % (n, b"xy"[n % 2 :][:1]) for n in range(19)) + b"b\tz\n", "'z'"),
    ],
)
def test_faulty_files(tmp_path, content, message):
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    with pytest.raises(VecqError, match=message):
        data.load(path)


@pytest.mark.skipif("VECQ_DATA" not in os.environ, reason="needs the data sets")
def test_the_real_sets():
    folder = Path(os.environ["VECQ_DATA"])
    imdb, titles = data.load("imdb", folder), data.load("thucnews-titles", folder)
    assert FIRST_WORD + len(imdb.vocabulary) == 20_000
    assert FIRST_WORD + len(titles.vocabulary) <= 5_000
    assert [imdb.classes, titles.classes] == [2, 10]
    assert len(imdb.validation[0]) == 2_500

"""The page of dependencies names every package that we ask for and every licence that binds."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs" / "reference" / "dependencies.md").read_text()
OWN = canonicalize_name(PROJECT["name"])
BINDING = re.compile(r"GPL|GNU|Mozilla|MPL|Affero|Creative|CC-BY|EPL|EUPL|CDDL", re.IGNORECASE)


def required() -> list[Requirement]:
    """What pyproject.toml asks for, in the base and in all extras."""
    texts = [*PROJECT["dependencies"]]
    for more in PROJECT["optional-dependencies"].values():
        texts += more
    wanted = map(Requirement, texts)
    return [one for one in wanted if canonicalize_name(one.name) != OWN]


def rows(heading: str | None = None) -> list[list[str]]:
    """Cells of the first table of the page, or of that below a heading."""
    part = PAGE if heading is None else PAGE.split(f"## {heading}")[1]
    lines = re.search(r"(?:^\|.*\n)+", part, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()]


def named(heading: str | None = None) -> set[str]:
    """The packages of a table."""
    cells = [row[0] for row in rows(heading)[2:]]
    return {canonicalize_name(name) for cell in cells for name in cell.split(", ")}


def installed() -> dict[str, Distribution]:
    """All distributions that come along, by name, as far as they are installed here."""
    found: dict[str, Distribution] = {}
    left = [(one.name, set(one.extras)) for one in required()]
    seen: set[tuple[str, frozenset[str]]] = set()
    while left:
        name, extras = left.pop()
        key = canonicalize_name(name), frozenset(extras)
        if key in seen:
            continue
        seen.add(key)
        try:
            there = distribution(name)
        except PackageNotFoundError:
            continue
        found[key[0]] = there
        for text in there.requires or []:
            one = Requirement(text)
            contexts = [{"extra": extra} for extra in ("", *extras)]
            if one.marker is None or any(one.marker.evaluate(c) for c in contexts):
                left.append((one.name, set(one.extras)))
    return found


def licence(there: Distribution) -> str:
    """What the metadata state: an expression, else the classifiers, else the first line of text.

    Else the files of licences that lie beside them, or BSD where their first condition is its own.
    """
    data = there.metadata
    classifiers = [c for c in data.get_all("Classifier") or [] if c.startswith("License ::")]
    text = (data.get("License") or "").strip().splitlines()
    said = data.get("License-Expression") or "; ".join(classifiers) or (text or [""])[0]
    files = data.get_all("License-File") or []
    texts = [there.read_text(f"licenses/{name}") or there.read_text(name) or "" for name in files]
    if not said and "Redistribution and use in source and binary forms" in " ".join(texts):
        return "BSD"
    return said or " ".join(texts)


def test_every_package_that_we_ask_for_has_its_reason() -> None:
    wanted = {canonicalize_name(one.name) for one in required()}
    assert named() == wanted


def test_every_licence_that_binds_is_named() -> None:
    found = {name: licence(there) for name, there in installed().items()}
    assert {"numpy", "torch", "jinja2", "sympy"} <= found.keys()
    assert [name for name, text in found.items() if not text] == []
    binding = {name for name, text in found.items() if BINDING.search(text)}
    assert binding - named("Licences that are not permissive") == set()


def test_none_is_under_the_gpl_itself() -> None:
    """Lesser and Mozilla licences leave what uses them alone; the GPL does not.

    Of docutils one file alone is under it, a mode for Emacs.
    """
    for name, there in installed().items():
        text = "" if name == "docutils" else licence(there)
        assert not re.search(r"(?<!L)GPL|GNU General|Affero", text.replace("LGPL", "")), name


@pytest.mark.parametrize("part", ["--hash=sha256:", "\nnumpy==", "\nverilator=="])
def test_the_lock_file_has_hashes_and_no_host(part: str) -> None:
    text = (ROOT / ".ci" / "requirements.txt").read_text()
    assert part in text
    assert "://" not in text
    assert "index-url" not in text
    pins = re.findall(r"^([a-z0-9-]+)==\S+", text, re.MULTILINE)
    for one in required():
        name = canonicalize_name(one.name)
        assert name in {*pins, "torch", "cosmic-ray"}, name
    assert text.count("--hash") >= len(pins)

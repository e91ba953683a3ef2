"""Run every command and code block of README and tutorials, as printed, in a fresh clone.

python3 -m tests.pages [--install] [--nightly] [PAGE ...]

Each page begins in a clean clone of what is committed here and runs its blocks one after the
other.  The interpreter of this process is used; with ``--install`` the blocks marked ``install``
run first, and what they put into ``.venv`` is used.  Nothing but the standard library is needed,
so that a bare Python can do it.

A comment before a block says why it does not run like this: ``<!-- not run: REASON -->``,
``<!-- nightly: REASON -->`` for what takes long, and ``<!-- install -->``.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = {"sh", "python", "cpp", "systemverilog", "text"}

_FENCE = re.compile(
    r"(?:<!-- (?:(?P<mark>not run|nightly): (?P<reason>[^>]*?)|(?P<install>install)) -->\n\n?)?"
    r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """What stands between two fences of a page."""

    mark: str | None
    """``not run``, ``nightly``, ``install`` or nothing."""
    reason: str | None
    language: str
    text: str
    line: int
    """The line of its first fence, from 1 on."""

    @property
    def runs(self) -> bool:
        """Whether it is a program at all."""
        return self.language not in ("text", "cpp", "systemverilog")


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text()
    return [
        Block(
            "install" if found["install"] else found["mark"],
            found["reason"],
            found["language"],
            found["text"],
            text.count("\n", 0, found.start("language")) + 1,
        )
        for found in _FENCE.finditer(text)
        if not found["language"].startswith("{")  # a directive of the site
    ]


def without_blocks(page: Path) -> str:
    """The prose of a page."""
    return _FENCE.sub("", page.read_text())


def walks() -> list[Path]:
    """The pages that a newcomer types: README and the tutorials."""
    tutorials = sorted((ROOT / "docs/tutorials").glob("*.md"))
    return [ROOT / "README.md", *(page for page in tutorials if page.name != "index.md")]


def readme_is_right(printed: str) -> bool:
    """Whether the example reaches an accuracy, and its integers predict the same."""
    found = re.search(r"^(0\.\d+) (\d+)$", printed, re.MULTILINE)
    return found is not None and float(found[1]) > 0.95 and int(found[2]) <= 1


RIGHT: dict[str, Callable[[str], bool]] = {
    "README.md": readme_is_right,
    "brevitas.md": lambda printed: "other scores than Brevitas's 0\n" in printed,
    "tflite.md": lambda printed: "'differing': 0," in printed,
    "own_model.md": lambda printed: "other predictions of the integers 0\n" in printed,
}
"""What a page must have printed."""


def command(block: Block) -> list[str]:
    """How a block is run: as a shell does it that stops at the first error, or by Python."""
    if block.language == "sh":
        return ["bash", "-e", "-u", "-o", "pipefail", "-c", block.text]
    return [sys.executable, "-W", "error", "-c", block.text]


def environment(binaries: Path, **more: str) -> dict[str, str]:
    """The environment of a block, with the programs of one Python first."""
    path = os.pathsep.join([str(binaries), os.environ["PATH"]])
    return {**os.environ, "PATH": path, **more}


def clone(folder: Path) -> None:
    """Make what is committed here a repository in ``folder``."""
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, folder], check=True)


def clean(folder: Path) -> None:
    """Leave nothing of a page before but the installed packages."""
    for words in (["checkout", "--quiet", "."], ["clean", "-fdxq", "-e", ".venv"]):
        subprocess.run(["git", "-C", folder, *words], check=True)


def walk(page: Path, folder: Path, install: bool, nightly: bool, installed: set[str]) -> str | None:
    """Run the blocks of a page; what went wrong, or None.

    What a page before has installed by the same words is there, and added to ``installed``.
    """
    wanted = {None} | ({"install"} if install else set()) | ({"nightly"} if nightly else set())
    name = page.relative_to(ROOT).as_posix()
    python = folder / ".venv/bin/python"
    if install:
        settings = environment(python.parent)
    else:
        settings = environment(Path(sys.executable).parent, PYTHONPATH=str(folder))
    printed = ""
    for block in blocks(folder / name):
        if not block.runs or block.mark not in wanted or block.text in installed:
            continue
        words = command(block)
        if install and block.language == "python":
            words[0] = str(python)
        first = block.text.strip().split("\n")[0]
        print(f"{name}:{block.line}: {first[:70]} ...", end=" ", flush=True)
        begun = time.monotonic()
        done = subprocess.run(
            words, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        print(f"{time.monotonic() - begun:.0f} s", flush=True)
        if done.returncode != 0:
            return (
                f"{name}:{block.line} ended with {done.returncode}\n{block.text}\n"
                f"{done.stdout[-6000:]}"
            )
        printed += done.stdout
        if block.mark == "install":
            installed.add(block.text)
    if not RIGHT.get(page.name, lambda printed: True)(printed):
        return f"{name} did not print what it should\n{printed[-6000:]}"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pages; 1 where a block failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE")
    parser.add_argument("--install", action="store_true", help="run the blocks that install, too")
    parser.add_argument("--nightly", action="store_true", help="run what takes long, too")
    options = parser.parse_args(arguments)
    begun, failed = time.monotonic(), []
    installed: set[str] = set()
    folder = Path(tempfile.mkdtemp(prefix="pages-"))
    try:
        clone(folder / "clone")
        for page in [page.resolve() for page in options.pages] or walks():
            clean(folder / "clone")
            wrong = walk(page, folder / "clone", options.install, options.nightly, installed)
            if wrong is not None:
                failed.append(page.name)
                print(wrong, flush=True)
    finally:
        shutil.rmtree(folder)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{time.monotonic() - begun:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processors; "
        + (f"failed: {', '.join(failed)}" if failed else "every block ran")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

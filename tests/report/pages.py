"""What every page must be, whatever it is about, by an HTML5 parser that forgives nothing."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree.ElementTree import Element

import html5lib

XHTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"
HEADINGS = tuple(f"{XHTML}h{level}" for level in range(1, 7))


def parsed(page: str) -> Element:
    """The document; a page that is no valid HTML5 raises."""
    return html5lib.HTMLParser(strict=True).parse(page)


def text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def texts(root: Element, tag: str) -> list[str]:
    return [text(one) for one in root.iter(XHTML + tag)]


def table(root: Element, caption: str) -> list[list[str]]:
    """The rows of the one table whose caption begins so."""
    (found,) = (
        one for one in root.iter(f"{XHTML}table") if texts(one, "caption")[0].startswith(caption)
    )
    return [[text(cell) for cell in row] for row in found.iter(f"{XHTML}tr")]


def check(page: str) -> Element:
    """Refuse what a page must not be; its document."""
    root = parsed(page)
    levels = [HEADINGS.index(one.tag) for one in root.iter() if one.tag in HEADINGS]
    assert levels[0] == 0
    assert levels.count(0) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    # Nothing is fetched: no address but the name of a namespace, nothing that loads.
    addresses = set(re.findall(r"\b(?:https?:)?//[\w.]+[^\s\"'<>)]*", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    for image in root.iter(f"{XHTML}img"):
        assert image.get("src", "").startswith("data:image/svg+xml;base64,")
        assert len(image.get("alt", "")) > 30
    assert not {one.tag for one in root.iter() if isinstance(one.tag, str)} & {
        XHTML + name for name in ("script", "link", "iframe", "object", "embed", "base")
    }
    assert not re.search(r"url\((?!#)|@import", page)
    names = [one.get("id") for one in root.iter() if one.get("id") is not None]
    assert len(names) == len(set(names))
    wanted = re.findall(r"(?:url\(|href=[\"'])#([^\"')]+)", page)
    wanted += " ".join(re.findall(r"aria-labelledby=\"([^\"]*)\"", page)).split()
    assert set(wanted) <= set(names)
    pictures = list(root.iter(f"{SVG}svg"))
    for picture in pictures:
        assert picture.get("role") == "img"
        title = picture.find(f"{SVG}title")
        assert title is not None
        assert title.get("id") == picture.get("aria-labelledby")
        assert len(text(title)) > 30
        _, _, width, height = map(float, picture.get("viewBox", "").split())
        assert width > 50
        assert height > 50
        assert list(picture.iter(f"{SVG}text"))  # text is text, not outlines
        assert not re.search(r"#[0-9a-fA-F]{6}", page.split(picture.get("aria-labelledby"))[1][:99])
    for figure in root.iter(f"{XHTML}figure"):
        assert texts(figure, "figcaption")[0]
    for found in root.iter(f"{XHTML}table"):
        assert texts(found, "caption")[0]
        assert all(head.get("scope") for head in found.iter(f"{XHTML}th"))
    return root

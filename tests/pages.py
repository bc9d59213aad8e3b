"""The pages of the documentation: their blocks of code, commands, links and headings."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
"""The pages for users, relative to ``ROOT``."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def script(page):
    """Return all Python blocks of a page as one script, each on the lines that it has there."""
    text, lines = text_of(page), []
    for block in _BLOCK.finditer(text):
        if block[1] == "python":
            lines += [""] * (text.count("\n", 0, block.start(2)) - len(lines))
            lines += block[2].splitlines()
    return "\n".join(lines)


def shell_commands(page):
    """Return the arguments of each line ``xpnet ...`` in a page's shell blocks."""
    return [
        shlex.split(line, comments=True)[1:]
        for block in _BLOCK.finditer(text_of(page))
        if block[1] in ("bash", "shell", "sh", "console")
        for line in block[2].replace("\\\n", " ").splitlines()
        if line.startswith("xpnet ")
    ]


def links(page):
    """Return the targets of a page's links."""
    text = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", text_of(page)))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ +(.*)$", _BLOCK.sub("", text_of(page)), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower())
        slug = slug.replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return found

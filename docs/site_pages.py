"""Makes the site's pages of the files in docs/, which GitHub shows as they are.

- A line that is only a link to a section of the top README becomes that section.
- A link to a source file becomes one to its place in the reference, and to the function that it names.
- A link to another file outside docs/ leads into the repository, if mkdocs.yml names one, and else nowhere.
"""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_SECTION = re.compile(r"^\[[^\]]+\]\((?:\.\./)+README\.md#([\w-]+)\)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]\[]+)\]\(((?:\.\./)+)([\w./-]+)(?:#[\w-]+)?\)")
_RELATIVE = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")


def section(name: str) -> str:
    """A section of the README without its heading, its links as seen from docs/.

    Args:
        name: the section's anchor on GitHub.

    Returns:
        Markdown, the headings in it a level higher.

    Raises:
        ValueError: the README has no such section.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for part in re.split(r"^(?=## )", readme, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        if _anchor(heading) == name:
            text = re.sub(r"^###", "##", text, flags=re.MULTILINE)
            return _RELATIVE.sub(lambda link: f"]({_from_docs(link[1])})", text.strip())
    raise ValueError(f"README.md has no section #{name}")


def _anchor(heading: str) -> str:
    """What GitHub calls a heading."""
    return re.sub(r"[^\w -]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def _from_docs(path: str) -> str:
    return path.removeprefix("docs/") if path.startswith("docs/") else f"../{path}"


def in_the_site(markdown: str, folder: Path, repository: str | None) -> str:
    """A page of docs/ as it is in the site.

    Args:
        markdown: the page's.
        folder: that of the page's file.
        repository: the address of the repository's files at a version; None if there is none.

    Returns:
        Markdown.

    Raises:
        ValueError: the page names a section that the README doesn't have, or a file that isn't there.
    """
    markdown = _SECTION.sub(lambda link: section(link[1]), markdown)

    def link(found: re.Match[str]) -> str:
        text, up, path = found.groups()
        file = (folder / up / path).resolve()
        if file.is_relative_to(ROOT / "docs"):
            return found[0]
        if not file.exists():
            raise ValueError(f"there is no {path}, to which a page of docs/ links")
        path = file.relative_to(ROOT).as_posix()
        if path.startswith(("losses/", "infogan_jax/")) and (file.is_dir() or file.suffix == ".py"):
            return f"[{text}][{_identifier(file, path, text)}]"
        return f"[{text}]({repository}/{path})" if repository else text

    return _LINK.sub(link, markdown)


def _identifier(file: Path, path: str, text: str) -> str:
    """What the reference calls a module, or the function or class in it that the link's text names."""
    module = path.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".").rstrip(".")
    name = text.strip("`")
    defined = file.suffix == ".py" and re.search(rf"^(def|class) {re.escape(name)}\b", file.read_text(), re.M)
    return f"{module}.{name}" if defined else module


def on_page_markdown(markdown: str, /, *, page: Any, config: Any, **_: Any) -> str:
    """What mkdocs calls with each page."""
    folder = Path(page.file.abs_src_path).parent
    repository = f"{config.repo_url.rstrip('/')}/blob/main" if config.repo_url else None
    return in_the_site(markdown, folder, repository)

"""What mkdocs does not know of this checkout: README is the site's first page, and links lead out of docs/.

Pages outside docs/ that are in the navigation become pages of the site; files that a page links are put into it beside
the pages; a link to a folder is only its name. Everything else that mkdocs finds wrong is a warning, and fails.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
FRONT = {"README.md": "index.md"}
LINK = re.compile(r"(?P<before>\]\(|(?:src|srcset)=\")(?P<path>[^)\s\"#:]+)(?P<anchor>#[^)\s\"]*)?(?P<after>[)\"])")
ELSEWHERE = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|srcset|href)=["']?(?:https?:)?//[^>]*>""")
PICTURE = re.compile(r'<picture>\s*<source [^>]*srcset="([^"]+)">\s*<img src="([^"]+)" alt="([^"]*)">\s*</picture>')
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    named = re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    outside = [path for path in (*FRONT, *named) if path not in FRONT.values() and not files.get_file_from_path(path)]
    for path in outside:
        if (ROOT / path).is_file():
            files.append(File.generated(config, FRONT.get(path, path), abs_src_path=str(ROOT / path)))
    for page in [file for file in files if file.is_documentation_page()]:
        for link in _links(page):
            if link.is_file() and not link.is_relative_to(ROOT / "docs") and link.suffix != ".md":
                path = str(link.relative_to(ROOT))
                if not files.get_file_from_path(path):
                    files.append(File.generated(config, path, abs_src_path=str(link)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """The page with its links as the site has them."""
    here = _in_checkout(page.file)

    def led(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(here.parent / found["path"]))
        if target.is_dir():
            return f"{found['before']}#{found['after']}"  # taken away below
        path = str(target.relative_to(ROOT)).removeprefix("docs/")
        relative = os.path.relpath(FRONT.get(path, path), os.path.dirname(page.file.src_uri) or ".")
        return f"{found['before']}{relative}{found['anchor'] or ''}{found['after']}"

    parts = CODE.split(markdown)
    for i in range(0, len(parts), 2):
        parts[i] = LINK.sub(led, parts[i])
    text = re.sub(r"\[([^]]*)\]\(#\)", r"\1", "".join(parts))
    return PICTURE.sub(r"![\3](\2#only-light)\n![\3](\1#only-dark)", text)


def on_post_build(config: Any) -> None:
    """Raises PluginError for a page that would ask somebody else for a part of it."""
    for page in Path(config["site_dir"]).rglob("*.html"):
        if found := ELSEWHERE.search(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page}: asks elsewhere: {found[0]}")


def _in_checkout(file: File) -> Path:
    return Path(file.abs_src_path or ROOT / "docs" / file.src_uri)


def _links(page: File) -> list[Path]:
    here = _in_checkout(page)
    text = CODE.sub("", here.read_text(encoding="utf-8"))
    return [Path(os.path.normpath(here.parent / found["path"])) for found in LINK.finditer(text)]

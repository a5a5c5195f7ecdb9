"""A page in Debian's chromium as a reader has it before him, and what it must not do there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Look(NamedTuple):
    """On what a page is read."""

    width: int
    height: int
    dark: bool

    def __str__(self) -> str:
        return f"{self.width} wide, {'dark' if self.dark else 'light'}"


DESKTOP, PHONE = Look(1280, 800, False), Look(390, 844, False)
LOOKS = [look._replace(dark=dark) for look in (DESKTOP, PHONE) for dark in (False, True)]


def started(playwright: Playwright) -> Browser:
    """Not the browser that playwright would download: the one that the system has, and updates."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@contextmanager
def opened(browser: Browser, url: str, look: Look = DESKTOP, *, served: bool = False) -> Iterator[Page]:
    """The page at `url`; on leaving, that it logged no error, opened no dialog and asked nobody else for anything.

    served  whether it may ask loopback; a page in a file asks for nothing but itself
    """
    faults: list[str] = []
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme="dark" if look.dark else "light",
        has_touch=look.width < 600,
        reduced_motion="reduce",
    )
    page = context.new_page()

    def console(message: Any) -> None:
        if message.type == "error":
            faults.append(f"console: {message.text} ({message.location.get('url', '')})")

    def dialog(shown: Any) -> None:
        faults.append(f"dialog: {shown.message}")
        shown.dismiss()

    def asks(where: str) -> None:
        found = urlsplit(where)
        if found.scheme in ("data", "blob") or where.split("#")[0] == url:
            return
        if not (served and found.hostname in LOOPBACK):
            faults.append(f"request: {where}")

    page.on("console", console)
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("dialog", dialog)
    page.on("popup", lambda popup: faults.append(f"popup: {popup.url}"))
    context.on("request", lambda request: asks(request.url))
    page.on("websocket", lambda socket: asks(socket.url))
    try:
        page.goto(url)
        yield page
        page.wait_for_timeout(50)  # what an event of the last moment still logs
        assert not page.evaluate("window.__pwned"), "a text from outside ran as a script"
    finally:
        context.close()
    assert not faults, "\n".join(faults)


# What is wider than the page has something around it that scrolls, or it is cut.
_CUT = """() => {
  const scrolls = (node) => {
    for (let around = node; around && around !== document.documentElement; around = around.parentElement)
      if (/auto|scroll/.test(getComputedStyle(around).overflowX)) return true;
    return false;
  };
  const width = document.documentElement.clientWidth, found = [];
  for (const node of document.body.querySelectorAll("*")) {
    if (node.closest("svg, script, style") || scrolls(node)) continue;
    const box = node.getBoundingClientRect();
    if (box.width && (box.right > width + 1 || box.left < -1))
      found.push(`${node.tagName}.${node.className} ${Math.round(box.left)}..${Math.round(box.right)}: ` +
        node.textContent.slice(0, 60));
  }
  return found;
}"""


def cut(page: Page) -> list[str]:
    """What reaches beyond the sides of the page, where nobody can scroll to it."""
    found: list[str] = page.evaluate(_CUT)
    return found


def scrolls_sideways(page: Page) -> bool:
    """Whether the page itself does; a wide table may, in its own place."""
    return bool(page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) > innerWidth"))


# Of each figure how many curves it has, and how many of them can be seen: a path or picture with some extent.
_FIGURES = """() => [...document.querySelectorAll(".chart")].map((node) => {
  const marks = [...node.querySelectorAll(
    ".scatterlayer path, .barlayer path, .heatmaplayer image, .heatmaplayer path, canvas")];
  const seen = marks.filter((mark) => { const box = mark.getBoundingClientRect(); return box.width + box.height > 0; });
  const box = node.getBoundingClientRect();
  return {
    id: node.id, width: box.width, height: box.height, seen: seen.length, data: (node.data || []).map((trace) => ({
      name: trace.name, type: trace.type, x: Array.from(trace.x || []), y: Array.from(trace.y || []),
      customdata: Array.from(trace.customdata || []) })),
    labels: [...node.querySelectorAll("svg text")].map((text) => text.textContent),
  };
})"""


def figures(page: Page) -> list[dict[str, Any]]:
    """Every figure of the page as it was drawn. Scrolled past first: one may be drawn when it is looked at."""
    page.evaluate(
        """async () => {
          for (const node of document.querySelectorAll(".chart")) {
            node.scrollIntoView();
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          }
          scrollTo(0, 0);
        }"""
    )
    found: list[dict[str, Any]] = page.evaluate(_FIGURES)
    return found


def text(page: Page) -> str:
    """What can be read in it, folded parts unfolded, on one line."""
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    return " ".join(str(page.inner_text("body")).split())

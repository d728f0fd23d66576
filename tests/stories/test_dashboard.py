"""The dashboard in a real browser: what an operator sees there, and can do, with a mouse or without."""

import json
import os
import shutil
import subprocess
from itertools import product

import pytest
from playwright.async_api import async_playwright, expect

ISSUE = "/rest/api/2/issue/PROJ-1"
TOKEN = "the admin's own token"
PATIENCE = 20_000  # ms: a busy machine takes its time
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
APT = ["apt-get", "--option", "DPkg::Lock::Timeout=120", "--yes"]
INSTALL = ([*APT, "update"], [*APT, "install", "--no-install-recommends", "chromium"])

# What WCAG 2.2 AA asks of text (1.4.3), measured on all text that is shown.
FAINT = """() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const luminance = ([red, green, blue]) => 0.2126 * light(red) + 0.7152 * light(green) + 0.0722 * light(blue);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest("noscript")) continue;
    const [one, other] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) faint.push(`${texts.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""

FOCUSED = """() => {
  const at = document.activeElement;
  const label = at.labels?.[0]?.textContent || at.textContent || at.getAttribute("aria-labelledby") || "";
  const unnamed = [...document.querySelectorAll("*")].indexOf(at);
  const id = at === document.body ? "BODY" : at.id || `${unnamed}`;
  return {id, name: label.trim(), outline: getComputedStyle(at).outlineStyle};
}"""

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
THEMES = {"light": "rgb(246, 247, 249)", "dark": "rgb(15, 18, 22)"}


def _found() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)


def _installed() -> str:
    """Install a browser where a machine of CI lets us. Returns what went wrong, else nothing."""
    if not os.environ.get("CI") or os.geteuid() != 0 or not shutil.which("apt-get"):
        return ""
    for command in INSTALL:
        try:
            environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            return f"; {' '.join(command)} took too long"
        if done.returncode:
            return f"; {' '.join(command)}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    return ""


@pytest.fixture(scope="module")
def chromium() -> str:
    """The path of a browser. In CI it is installed where that is possible; without one the tests here are skipped."""
    complaint = "" if _found() else _installed()
    path = _found()
    if path is None:
        pytest.skip(f"no browser: install Debian's `chromium`, or set $CHROMIUM to the path of one{complaint}")
    return path


@pytest.fixture
async def browser(chromium):
    options = ["--no-sandbox", "--disable-dev-shm-usage"] if os.geteuid() == 0 else []
    async with async_playwright() as driver:
        launched = await driver.chromium.launch(executable_path=chromium, args=options)
        yield launched
        await launched.close()


class Window:
    """A page of a browser, with whatever went wrong in it and the addresses that it asked."""

    def __init__(self, page, url):
        self.page, self.url = page, url
        self.complaints, self.asked = [], []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self.asked.append(request.url))

    def _hear(self, message):
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    async def open(self, path="/"):
        return await self.page.goto(self.url + path)

    async def live(self):
        """Wait until the page listens."""
        await self.shows("#link", "live")

    async def press(self, *keys):
        for key in keys:
            await self.page.keyboard.press(key)

    async def type(self, selector, text, *keys):
        """Put the cursor into a field, write, and press keys."""
        await self.page.focus(selector)
        await self.page.keyboard.press("ControlOrMeta+A")
        await self.page.keyboard.type(text)
        await self.press(*keys)

    async def shows(self, selector, text):
        await expect(self.page.locator(selector)).to_have_text(text, timeout=PATIENCE)

    async def says(self, selector, text):
        await expect(self.page.locator(selector)).to_contain_text(text, timeout=PATIENCE)


@pytest.fixture
async def new_window(browser):
    async def open_window(proxy, **options) -> Window:
        context = await browser.new_context(**({"viewport": DESK} | options))
        return Window(await context.new_page(), f"http://{proxy.running.admin}")

    return open_window


@pytest.fixture
async def busy(new_proxy, origin):
    """A proxy that has answered two hits, a miss and a write."""
    proxy = await new_proxy()
    origin.issue("PROJ-1", "a")
    body = json.dumps({"fields": {"summary": "b"}}).encode()
    await proxy.request("PUT", ISSUE, data=body, headers={"Content-Type": "application/json"})
    for _ in range(3):
        await proxy.get(ISSUE)
    return proxy


async def test_the_page_shows_what_happens_as_charts_and_tables_and_finds_the_proxy_again(busy, new_window):
    window = await new_window(busy)
    await window.open()
    await window.live()
    await window.shows("#t-ratio", "66.7 %")
    await window.shows("#t-saved", "2")
    await window.shows("#t-calls", "2")
    await window.shows("#t-entries", "1")
    await window.shows("#t-store", "ok")
    await window.shows("#t-jira", "ok")
    await window.says("#types tbody tr:has-text('issue')", "66.7 %")
    await window.says("#routes", "/rest/api/{v}/issue/{issue}/**")
    await window.says("#changes", "issue:PROJ-1")
    await expect(window.page.locator("figure canvas")).to_have_count(3)
    for figure in await window.page.locator("figure").all():
        await figure.locator("summary").click()
        row = figure.locator("tbody tr").first
        await expect(row).to_be_visible(timeout=PATIENCE)
        lines = await figure.locator(".legend li").count()
        assert lines + 1 == await row.locator("th, td").count() == await figure.locator("thead th").count()
    assert window.complaints == []
    assert all(address.startswith(f"{window.url}/") for address in window.asked)
    busy.running.app.events.drop_all()
    await busy.get(ISSUE)
    await window.shows("#t-saved", "3")


async def test_an_operator_explains_and_purges_by_keyboard_alone(busy, new_window, origin):
    window = await new_window(busy)
    await window.open()
    await window.live()
    await expect(window.page.locator("#callers tbody code")).to_have_count(1, timeout=PATIENCE)
    await window.type("#x-path", origin.url + ISSUE, "Enter")
    await window.says("#x-told", "A hit: fresh.")
    await window.says("#x-told", "a change of this issue")
    for keys, told in ((["Enter"], "Nothing was purged."), (["Tab", "Enter"], "Purged: tags issue:PROJ-1 of default.")):
        await window.type("#p-value", "issue:PROJ-1", "Enter")
        await window.says("#confirm", "This makes old: tags issue:PROJ-1 of default.")
        await window.press(*keys)
        await window.shows("#p-told", told)
    await window.type("#x-path", ISSUE, "Enter")
    await window.says("#x-told", "A miss: invalidated.")
    await window.says("#x-told", "purge at")
    assert (await busy.get(ISSUE)).why == "invalidated"
    await window.type("#p-value", "no tag", "Enter", "Tab", "Enter")
    await window.says("#p-told.error", "'no tag' is not a tag")


async def test_every_control_has_a_name_and_shows_where_the_keyboard_is(busy, new_window):
    window = await new_window(busy)
    await window.open()
    await window.live()
    await window.press("Tab")
    assert await window.page.evaluate("document.activeElement.textContent") == "Skip to the figures"
    reached = {}
    while (at := await window.page.evaluate(FOCUSED))["id"] not in {"BODY", *reached}:
        reached[at["id"]] = at
        await window.press("Tab")
    assert {"span", "theme", "x-path", "x-method", "x-caller", "p-kind", "p-value"} <= set(reached)
    assert [at for at in reached.values() if not at["name"] or at["outline"] == "none"] == []


async def test_all_text_can_be_read_at_any_width_and_in_both_themes(busy, new_window):
    window = await new_window(busy)
    await window.open()
    await window.live()
    await window.says("#changes", "issue:PROJ-1")
    await window.type("#x-path", ISSUE, "Enter")
    await window.says("#x-told", "Key")
    for (scheme, back), viewport in product(THEMES.items(), (DESK, PHONE)):
        await window.page.emulate_media(color_scheme=scheme)
        await window.page.set_viewport_size(viewport)
        assert await window.page.evaluate(BACKGROUND) == back
        assert await window.page.evaluate(FAINT) == []
        assert await window.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    for theme, back in THEMES.items():  # whatever the system has
        await window.page.select_option("#theme", theme)
        assert await window.page.evaluate(BACKGROUND) == back
    await window.open()
    assert await window.page.evaluate(BACKGROUND) == THEMES["dark"]
    assert window.complaints == []


async def test_without_a_session_the_page_says_how_to_get_one_and_with_the_link_it_opens(
    new_proxy, new_window, session
):
    proxy = await new_proxy(admin={"listen": "127.0.0.1:0", "token": TOKEN})
    window = await new_window(proxy)
    refused = await window.open()
    assert refused.status == 401
    await window.says("main", "jira-cache admin-link")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with session.post(f"{window.url}/api/sign-in-links", json={}, headers=headers) as answer:
        link = (await answer.json())["path"]
    await window.open(link)
    await window.live()
    await window.page.click("#sign-out")
    await window.says("main", "jira-cache admin-link")
    assert len(proxy.running.app.events) == 0

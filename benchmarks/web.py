"""The web client in Chromium: how soon the first picture comes, how old it is, and how long a jump takes.

The simulator encodes live and draws the time into each picture; the page's own <video> elements are read back through
a canvas. Site, simulator, browser and decoder share this machine, without TLS.
"""

import asyncio
import json
import os
import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.rows import at_most, median, percentile, shown, write
from clients.simulator import stamp
from vigil.smoke import StartedSite, started_site

FIRST_PICTURE_LIMIT_S, GLASS_LIMIT_MS, SEEK_LIMIT_MS = 2, 500, 500
STARTS, GLASS_S, SEEKS = 5, 15, 15
FOOTAGE_S = 60
"""Recorded before the jumps."""
SETTLE_S = 4
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

SIGN_IN = """([user, password]) => {
  const look = new MutationObserver(() => {
    const form = document.querySelector('.sign-in form');
    if (form && !form.dataset.sent) {
      form.dataset.sent = 'yes';
      form.elements.user.value = user;
      form.elements.password.value = password;
      form.requestSubmit();
    }
    for (const video of document.querySelectorAll('video:not([data-seen])')) {
      video.dataset.seen = 'yes';
      video.requestVideoFrameCallback(() => { window.firstPictureMs ??= performance.now(); });
    }
  });
  document.addEventListener('DOMContentLoaded', () =>
    look.observe(document.body, { childList: true, subtree: true }));
}"""
"""Signs in as fast as a program can, and notes the first picture; performance.now() counts from the navigation."""

GLASS = """seconds => new Promise((resolve) => {
  const video = document.querySelector('.grid video');
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const until = performance.now() + seconds * 1000;
  const found = [];
  const edge = (block, size) => Math.round(block * size / 18);
  const look = (now, { expectedDisplayTime, presentedFrames }) => {
    const shownAt = Date.now() + expectedDisplayTime - performance.now();
    context.drawImage(video, 0, 0);
    const { width, height } = canvas;
    const { data } = context.getImageData(0, 0, width, edge(10, height));
    let bits = '';
    for (let row = 1; row <= 8; row += 1) {
      for (let column = 1; column <= 16; column += 1) {
        const x = Math.round((edge(column, width) + edge(column + 1, width)) / 2);
        const y = Math.round((edge(row, height) + edge(row + 1, height)) / 2);
        bits += data[4 * (y * width + x) + 1] > 128 ? '1' : '0';
      }
    }
    found.push([shownAt, bits, presentedFrames]);
    if (performance.now() < until) video.requestVideoFrameCallback(look);
    else resolve(found);
  };
  video.requestVideoFrameCallback(look);
})"""

SEEK = """async () => {
  const clock = await import('/clock.js');
  const track = document.querySelector('.track canvas');
  window.seekMs = null;
  track.addEventListener('pointerup', () => {
    const began = performance.now();
    queueMicrotask(() => {
      const target = clock.now() / 1000;
      const look = (now, { mediaTime, expectedDisplayTime }) => {
        if (mediaTime > target - 0.2 && mediaTime < target + 2) window.seekMs = expectedDisplayTime - began;
        else again();
      };
      const again = () => {
        const video = document.querySelector('.grid video');
        video.requestVideoFrameCallback(look);
      };
      // The element is the same in live and playback.
      again();
    });
  }, { once: true, capture: false });
}"""


def age_ms(shown_at: float, bits: str) -> float | None:
    """How old a picture was when it was shown; none when its stamp cannot be read."""
    luma = np.full((72, 72), 128, np.uint8)
    for index, bit in enumerate(bits):
        row, column = divmod(index, stamp.COLUMNS)
        luma[4 * row + 4 : 4 * row + 8, 4 * column + 4 : 4 * column + 8] = 232 if bit == "1" else 24
    found = stamp.read(luma)
    return None if found is None else shown_at - found.time_us / 1000


async def first_picture_s(browser: Browser, site: StartedSite) -> float:
    """From the navigation of a new profile, sign-in included, until the first picture is drawn."""
    context = await browser.new_context(viewport={"width": 1280, "height": 760})
    page = await context.new_page()
    await page.add_init_script(f"({SIGN_IN})({json.dumps([site.target.user, site.target.password])})")
    await page.goto(str(site.target.page_url), wait_until="commit")
    await page.wait_for_function("() => window.firstPictureMs", polling=50)
    took: float = await page.evaluate("() => window.firstPictureMs")
    await context.close()
    return took / 1000


async def signed_in(browser: Browser, site: StartedSite) -> Page:
    """A page that shows the first camera alone."""
    context = await browser.new_context(viewport={"width": 1280, "height": 760})
    page = await context.new_page()
    await page.goto(str(site.target.page_url))
    await page.get_by_label("User name").fill(str(site.target.user))
    await page.get_by_label("Password").fill(str(site.target.password))
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_selector("[data-camera-id=camera-1][data-status=live]")
    await page.keyboard.press("1")
    await page.wait_for_selector("[data-camera-id=camera-1][data-stream=main][data-status=live]")
    return page


async def glass_ms(page: Page) -> list[float]:
    """The ages of all pictures shown in a while."""
    await asyncio.sleep(SETTLE_S)
    seen: list[Any] = await page.evaluate(GLASS, GLASS_S)
    ages = [age for shown_at, bits, _ in seen if (age := age_ms(shown_at, bits)) is not None]
    if len(ages) < 0.9 * len(seen) or len(ages) < 10 * GLASS_S:
        raise RuntimeError(f"only {len(ages)} of {len(seen)} pictures in {GLASS_S} s could be read")
    return ages


async def seek_ms(page: Page) -> list[float]:
    """From clicks on the timeline, out of live, to the first picture of that moment."""
    track = page.locator(".track")
    await track.focus()
    for _ in range(5):
        await page.keyboard.press("+")
    box = await track.bounding_box()
    assert box is not None
    found = []
    for _ in range(SEEKS):
        await page.wait_for_selector("[data-camera-id=camera-1][data-status=live]")
        await asyncio.sleep(1)
        await page.evaluate(SEEK)
        start, end = [float(await track.get_attribute(name) or 0) for name in ("data-from", "data-to")]
        wanted = time.time() * 1000 - random.uniform(8, min(FOOTAGE_S - 5, (end - start) / 1000 - 10)) * 1000
        await track.click(position={"x": (wanted - start) / (end - start) * box["width"], "y": box["height"] / 2})
        await page.wait_for_function("() => window.seekMs !== null", polling=50)
        found.append(float(await page.evaluate("() => window.seekMs")))
        await page.get_by_role("button", name="Live", exact=True).click()
    return found


async def measure(site: StartedSite) -> tuple[list[float], list[float], list[float]]:
    async with async_playwright() as playwright:
        starts = []
        for _ in range(STARTS):  # a new browser each time: nothing is warm
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            starts.append(await first_picture_s(browser, site))
            print(f"first picture after {starts[-1]:.2f} s")
            await browser.close()
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await signed_in(browser, site)
        glass = await glass_ms(page)
        print(f"{len(glass)} pictures, the median {median(glass):.0f} ms old")
        await asyncio.sleep(max(0, FOOTAGE_S - GLASS_S))
        seeks = await seek_ms(page)
        print("jumps:", ", ".join(f"{took:.0f}" for took in seeks), "ms")
        await browser.close()
        return starts, glass, seeks


def main() -> None:
    os.environ["VIGIL_SIMULATOR__STAMP"] = "true"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vigil-bench-")))
        site = started_site(stack, folder, "memory", cameras=1)
        starts, glass, seeks = asyncio.run(measure(site))
    write(
        "web",
        [
            at_most("web.first_picture_s", median(starts), "s", FIRST_PICTURE_LIMIT_S),
            at_most("web.glass_p95_ms", percentile(glass, 0.95), "ms", GLASS_LIMIT_MS),
            shown("web.glass_p50_ms", percentile(glass, 0.5), "ms"),
            at_most("web.seek_p95_ms", percentile(seeks, 0.95), "ms", SEEK_LIMIT_MS),
            shown("web.seek_p50_ms", percentile(seeks, 0.5), "ms"),
        ],
    )


if __name__ == "__main__":
    main()

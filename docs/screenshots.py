"""Pictures of a report for these pages: `python docs/screenshots.py runs/digits/report.html` (needs chromium)."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

DESK, PHONE = {"width": 1100, "height": 900}, {"width": 390, "height": 780}
SHOTS = {
    "saved": ("#saved", {"viewport": DESK}),
    "trust": ("#trust", {"viewport": DESK}),
    "samples-dark": ("#samples", {"viewport": DESK, "color_scheme": "dark"}),
    "phone": ("#samples", {"viewport": PHONE, "device_scale_factor": 2}),
}


def main() -> None:
    """Writes ``images/*.webp`` beside this script."""
    page = Path(sys.argv[1]).resolve().as_uri()
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (section, options) in SHOTS.items():
            tab = browser.new_context(**options).new_page()
            tab.goto(page)
            tab.wait_for_timeout(1500)
            tab.evaluate(f"document.querySelector('{section}').scrollIntoView()")
            tab.wait_for_timeout(300)
            picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
            picture.save(Path(__file__).parent / "images" / f"{name}.webp", quality=70, method=6)
        browser.close()


if __name__ == "__main__":
    main()

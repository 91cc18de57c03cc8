"""A headless Chromium for the tests of the console, and the folder for pictures of it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from npm_packages import installed  # noqa: E402

WANTED = HERE / "package.json"
PICTURES = Path(os.environ.get("HASIGNER_CONSOLE_PICTURES", Path(tempfile.gettempdir()) / "ha-signer-console-pictures"))
DESKTOP, NARROW = (1440, 900), (360, 740)


def chromium():
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


# Each text with the colour behind it: WCAG 2.2, 1.4.3. Colours that shine through are mixed with what is behind them.
CONTRASTS = """(() => {
  const channels = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    return { rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1 };
  };
  const over = (top, below) => top.rgb.map((value, i) => value * top.alpha + below[i] * (1 - top.alpha));
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const groundOf = (element) => {
    if (!element) return [255, 255, 255];
    const own = channels(getComputedStyle(element).backgroundColor);
    return own.alpha === 1 ? own.rgb : over(own, groundOf(element.parentElement));
  };
  const scope = document.querySelector("dialog[open]") ?? document.body;
  const found = new Map();
  const walker = document.createTreeWalker(scope, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("noscript, script, style, option")) continue;
    const style = getComputedStyle(element);
    const ground = groundOf(element);
    const [a, b] = [luminance(over(channels(style.color), ground)), luminance(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const name = `${element.tagName} ${element.className} ${style.color} on ${ground.map(Math.round)} (${walker.currentNode.data.trim().slice(0, 30)})`;
    found.set(`${style.color} ${ground}`, { name, ratio: Math.round(ratio * 100) / 100, least: isLarge ? 3 : 4.5 });
  }
  return [...found.values()];
})()"""


class Browser:
    """Commands for browser.mjs. `evaluate` and `wait` take expressions of JavaScript."""

    def __init__(self):
        program = chromium()
        assert program, "the test needs chromium: scripts/install-dependencies"
        folder = installed("console", WANTED)
        # Where a script lies decides which packages it finds.
        script = folder / "browser.mjs"
        shutil.copy(HERE / "browser.mjs", script)
        self.process = subprocess.Popen(["node", script, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        PICTURES.mkdir(parents=True, exist_ok=True)

    def do(self, command, **what):
        with self.lock:
            self.process.stdin.write(json.dumps({"do": command, **what}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        assert line, "the browser has ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{command} {what}: {answer['error']}"
        return answer["result"]

    def evaluate(self, script):
        return self.do("evaluate", script=script)

    def wait(self, script, timeout=20):
        """Until the expression is true; returns its value."""
        give_up_at = time.monotonic() + timeout
        while not (value := self.evaluate(script)):
            if time.monotonic() > give_up_at:
                text = self.evaluate("document.body.innerText.slice(0, 3000)")
                raise AssertionError(f"never true: {script}\n{text}\n{self.do('complaints')}")
            time.sleep(0.05)
        return value

    def press(self, *keys):
        for key in keys:
            self.do("press", key=key)

    def size(self, size):
        self.do("size", width=size[0], height=size[1])

    def prefer(self, **features):
        self.do("prefer", features=[{"name": "prefers-" + name.replace("_", "-"), "value": value} for name, value in features.items()])

    def picture(self, name, whole=False):
        self.do("picture", path=str(PICTURES / f"{name}.png"), whole=whole)

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def focused(self):
        """The label of what has the focus."""
        return self.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText ?? document.activeElement.id")

    def low_contrasts(self):
        measured = self.evaluate(CONTRASTS)
        assert len(measured) > 3, measured
        return [one for one in measured if one["ratio"] < one["least"]]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()

"""Pages as a browser has them."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH")

_HOST = """<body><iframe src="{page}" style="width: {width}px; height: 4000px"></iframe><pre id="answer"></pre>
<script>
addEventListener("message", event => document.getElementById("answer").textContent = event.data);
</script>"""
_ASK = """<script>
addEventListener("load", async () => {{
  const found = await (async () => {{ {script} }})();
  parent.postMessage(JSON.stringify({{...found, wide: document.documentElement.scrollWidth}}), "*");
}});
</script>"""


def ask(page: Path, script: str, width: int) -> dict:
    """What `script` returns inside the page, in a window `width` pixels wide; `wide` is how wide the page is.

    Everything that the browser complains of is in `said`.
    """
    asked, worker = page.with_suffix(".asked.html"), page.with_suffix(".worker.html")
    asked.write_text(page.read_text() + _ASK.format(script=script))
    worker.write_text(_HOST.format(page=asked.name, width=width))
    dom, said = dump(worker)
    found = re.search(r'<pre id="answer">(.*?)</pre>', dom, flags=re.DOTALL)
    return json.loads(unescape(found[1])) | {"said": said}


def dump(page: Path) -> tuple[str, list[str]]:
    """The page's DOM when its scripts have run, and what the browser complained of."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--enable-unsafe-swiftshader", "--enable-logging=stderr"]
    command += [f"--user-data-dir={page.with_suffix('.profile')}", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=100, check=True)
    said = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line and "GL Driver Message" not in line]
    return done.stdout, said

"""The Node yardstick: ioredis, installed into a folder that git ignores."""

import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent / ".node"
SCRIPT = Path(__file__).parent / "yardsticks" / "per_order.cjs"
PACKAGE = "ioredis@5"
INSTALL_SECONDS = 120


def prepare() -> str:
    """Install ioredis if it is not there; return why that is not possible, or nothing."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if (FOLDER / "node_modules" / "ioredis").is_dir():
        return ""
    FOLDER.mkdir(exist_ok=True)
    command = ["npm", "install", "--prefix", str(FOLDER), "--no-audit", "--no-fund", "--silent", PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"npm install {PACKAGE} did not end within {INSTALL_SECONDS} s"
    return "" if done.returncode == 0 else f"npm install {PACKAGE} failed: {done.stderr.strip()[-200:]}"


def environment() -> dict[str, str]:
    """Return where Node finds ioredis."""
    return {"NODE_PATH": str(FOLDER / "node_modules")}

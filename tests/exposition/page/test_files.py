"""The files of the page, as the HTTP server hands them out."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from sidecar.config import HttpConfig, Secret
from sidecar.exposition.page.files import policy, read_page
from tests.exposition.monitors import serving

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ROOT = Path(__file__).parents[3]
STATIC = ROOT / "sidecar/exposition/page/static"
FILES = read_page()
BUDGET_BYTES = 100_000


def test_the_page_is_small() -> None:
    assert sum(len(file.body) for file in FILES.values()) < BUDGET_BYTES


@pytest.mark.parametrize("path", FILES)
async def test_a_file_has_its_type_and_is_sent_once(path: str) -> None:
    async with serving() as served:
        async with served.client.get(path, headers=BROWSER) as response:
            assert response.status == 200
            assert await response.read() == FILES[path].body
            assert response.headers["Content-Type"] == FILES[path].content_type
            assert response.headers["Cache-Control"] == "no-cache"
            tag = response.headers["ETag"]
        async with served.client.get(path, headers={**BROWSER, "If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert "Content-Security-Policy" in response.headers


async def test_the_policy_lets_the_page_connect_to_its_own_host_alone() -> None:
    async with serving() as served:
        host, port = served.server.address
        async with served.client.get("/", headers=BROWSER) as response:
            sent = response.headers["Content-Security-Policy"]
        assert sent == policy(f"{host}:{port}")
        assert f"connect-src 'self' ws://{host}:{port} wss://{host}:{port};" in sent
        async with served.client.get("/", headers={**BROWSER, "Host": "evil.example; script-src *"}) as response:
            assert response.status == 421


@pytest.mark.parametrize(("accept", "is_page"), [("*/*", False), ("text/html;q=0", False), ("text/html", True)])
async def test_the_page_is_for_those_who_ask_for_html(accept: str, is_page: bool) -> None:
    async with serving() as served, served.client.get("/", headers={"Accept": accept}) as response:
        assert ("page/app.js" in await response.text()) == is_page
        assert response.headers["Vary"] == "Accept"


async def test_the_page_needs_no_token_but_the_numbers_do() -> None:
    async with serving(HttpConfig(read_token=Secret("secret"))) as served:
        for path, headers, status in (
            ("/", BROWSER, 200),
            ("/page/app.js", {}, 200),
            ("/", {}, 401),
            ("/monitoring/metrics", BROWSER, 401),
            ("/page/../monitoring/metrics", BROWSER, 401),
        ):
            async with served.client.get(path, headers=headers) as response:
                assert response.status == status, path


@pytest.mark.parametrize("path", ["/page/", "/page/nothing.js", "/page/..%2fpage%2ffiles.py"])
async def test_there_is_no_other_file(path: str) -> None:
    async with serving() as served, served.client.get(path) as response:
        assert response.status == 404


def test_every_address_in_the_page_is_relative() -> None:
    index = FILES["/"].body.decode()
    for address in re.findall(r'(?:href|src)="([^"]*)"', index):
        assert re.match(r"page/|monitoring/|#|\?|\.$", address), address
    for file in STATIC.glob("*.js"):
        assert not re.findall(r"""["'`]/[a-z]""", file.read_text()), file


def test_the_page_names_every_file_it_needs() -> None:
    named = set(re.findall(r"page/[\w-]+\.\w+", FILES["/"].body.decode()))
    imported = {f"page/{name}" for file in STATIC.glob("*.js") for name in re.findall(r'"\./(.*)"', file.read_text())}
    icons = {f"page/{file.name}" for file in STATIC.glob("icon-*.svg")}  # named by the state
    assert {path.removeprefix("/") for path in FILES if path != "/"} == named | imported | icons


@pytest.mark.campaign
def test_the_wheel_has_the_files(tmp_path: Path) -> None:
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "sidecar", tmp_path / "sidecar", ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    packed = {name for name in ZipFile(wheel).namelist() if name.startswith("sidecar/exposition/page/static/")}
    assert {Path(name).name for name in packed} == {file.name for file in STATIC.iterdir()}

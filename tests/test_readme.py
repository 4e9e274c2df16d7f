"""README.md and docs/: what a newcomer reads there is so, command by command and name by name."""

from __future__ import annotations

import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import aiohttp
import pytest

from proxy import demo, settings
from proxy.admin.drain import State
from proxy.cli import COMMANDS, main
from proxy.rules.parse import parse
from proxy.rules.split import shares
from tests.serve import Proxy, run, services, serving

ROOT = Path(__file__).parent.parent
MANUAL = ["README.md", "docs/rules.md", "docs/rollouts.md", "docs/migration.md", "docs/operation.md"]
PAGES = sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
README = "\n".join((ROOT / page).read_text() for page in MANUAL)
"""All that users read, the newcomer's page first."""
README_LINES_MAX = 145
"""It is read in two minutes, or not at all."""
YAML = re.findall(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
INGRESS = next(text for text in YAML if text.startswith("apiVersion:"))
HTTP_ROUTE = next(text for text in YAML if "kind: HTTPRoute" in text)
SHELL = [line.strip().removeprefix("$ ") for line in re.findall(r"^ {4}.*$", README, re.MULTILINE)]
"""The lines of the indented blocks."""
OPTIONS = set(re.findall(r"--([a-z-]+)", README[README.index("    grayhound serve RULES [") :].partition("\n\n")[0]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader would type the commands: the rule file of the page is there as rules.yaml."""
    (tmp_path / "rules.yaml").write_text(YAML[0])
    (tmp_path / "ingress.yaml").write_text(INGRESS)
    (tmp_path / "httproute.yaml").write_text(HTTP_ROUTE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    """The page's rule file, served, with live services in place of its addresses."""
    async with services("v1", "v2") as (v1, v2):
        text = re.sub(r"http://10\.0\.0\.1[12]:8080", v1.url, YAML[0].replace(", http://10.0.0.12:8080", ""))
        path = tmp_path / "rules.yaml"
        path.write_text(text.replace("http://10.0.0.21:8080", v2.url))
        async with serving(path) as started:
            yield started


def commands(name: str) -> list[list[str]]:
    """Every whole line of the page that runs `grayhound name`, as its arguments."""
    whole = [line.partition(" > ")[0] for line in SHELL if line.startswith(f"grayhound {name} ") and "[" not in line]
    return [shlex.split(line, comments=True)[1:] for line in whole]


# --- The rule file and the commands --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", YAML)
def test_its_rule_files_pass_check(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No fault, no warning, and their own tests pass."""
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    assert main(["check", str(path)]) == 0
    assert "0 warnings" in capsys.readouterr().out


def test_the_splits_it_says_to_save_are_taken(folder: Path) -> None:
    """Each step of the release, in the rule file of the page."""
    steps = re.findall(r"`(?:split: )?(\{v1: \d+, v2: \d+\})`", README)
    assert len(steps) >= 2
    for step in steps:
        (folder / "rules.yaml").write_text(YAML[0].replace("{v1: 80, v2: 20}", step))
        assert main(["check", "rules.yaml"]) == 0


def test_every_command_it_names_exists() -> None:
    named = set(re.findall(r"(?:`|^ {4}(?:\$ )?)grayhound ([a-z]+)", README, re.MULTILINE))
    assert named and named <= COMMANDS.keys()


@pytest.mark.usefixtures("folder")
def test_check_and_explain_work_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    """As typed beside the page's rule file."""
    assert commands("check") and commands("explain")
    for arguments in (*commands("check"), *commands("explain")):
        assert main(arguments) == 0
    explained = capsys.readouterr().out
    assert "testers" in explained and "v2" in explained


@pytest.mark.usefixtures("folder")
def test_its_ingress_is_imported_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is lost, and a quarter of those who match go to the new version."""
    assert commands("import")
    for arguments in commands("import"):
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert err == "" and "service-match: new-shop" in out
        parsed = parse(out, "rules.yaml").rule_file
        (rule,) = parsed.routes[0].rules
        assert rule.split is not None
        assert shares(rule.split.weights) == {"old-shop": 0.75, "new-shop": 0.25}


def test_the_rules_of_its_ingress_decide_as_it_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the words that the last step of a migration waits for."""
    assert main(["import", "ingress.yaml"]) == 0
    (folder / "rules.yaml").write_text(capsys.readouterr().out)
    (compared,) = (line for line in SHELL if line.startswith("grayhound diff ingress.yaml"))
    assert main(shlex.split(compared, comments=True)[1:]) == 0
    assert capsys.readouterr().out.strip() == compared.partition("# ")[2]


@pytest.mark.usefixtures("folder")
def test_its_http_route_decides_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """By the rule and to the version that the page names."""
    (asked,) = [arguments for arguments in commands("explain") if "httproute.yaml" in arguments]
    assert main(asked) == 0
    assert "version shop-v2" in (out := capsys.readouterr().out) and "rule shop/2" in out


def test_diff_says_what_it_shows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the page's rule file and the next step of its release; of a log in two of the forms it names."""
    (folder / "next.yaml").write_text(YAML[0].replace("{v1: 80, v2: 20}", "{v1: 50, v2: 50}"))
    lines = re.findall(r"`(GET http.*?|curl -H .*?)`", README)
    assert len(lines) == 2
    (folder / "access.log").write_text("\n".join(lines))
    plain, replayed = (arguments for arguments in commands("diff") if "ingress.yaml" not in arguments)
    assert main(plain) == 1
    assert all(line.strip() in SHELL for line in capsys.readouterr().out.splitlines())
    assert main(replayed) == 1
    assert "would go elsewhere: 0.3 (15 %)" in capsys.readouterr().out


def test_the_synopsis_of_serve_names_every_option_and_no_other() -> None:
    assert settings.options().keys() - {"rules"} == OPTIONS


def test_the_options_it_mentions_elsewhere_exist() -> None:
    of_others = {"cookie", "token-file"}  # of curl, and of `grayhound rollout`
    assert set(re.findall(r"`--([a-z-]+)`", README)) <= OPTIONS | of_others
    assert settings.variable("listen") in README


def test_the_addresses_it_promises_are_the_defaults() -> None:
    promised = re.search(r"traffic on (\S+), admin on (\S+)", README)
    assert promised is not None
    plain = settings.read_settings({"rules": "rules.yaml"}, {}, 1)
    assert [settings.read_listen(promised[1])] == list(plain.listen)
    assert settings.read_address(promised[2]) == plain.admin


def test_the_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)) <= targets
    assert set(re.findall(r'"make ([a-z-]+) ', makefile)) <= targets


def test_the_demos_lines_are_those_the_demo_prints() -> None:
    """And what they answer stands beside them; tests/test_demo.py tries the lines."""
    printed = demo.LINES.format(proxy="http://127.0.0.1:8080", admin="", old="", new="", rules="")
    lines = [line.partition("#") for line in SHELL if line.startswith("curl ")]
    assert len(lines) == 3
    for command, _, answer in lines:
        assert command.strip().removesuffix("/") in printed
        assert answer.strip() == f"hello from {'v2 (new)' if 'foo' in command else 'v1 (old)'}"


def test_the_container_is_run_as_it_is_built() -> None:
    """The ports and the rule file's place, in the page and in the Dockerfile."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    (run,) = (line for line in SHELL if line.startswith("docker run"))
    place, port = re.search(r":(/\S+):ro", run), re.search(r"-p \d+:(\d+)", run)
    assert place is not None and port is not None
    assert f'CMD ["{place[1]}/rules.yaml"]' in dockerfile
    assert re.search(rf"^EXPOSE .*\b{port[1]}\b", dockerfile, re.MULTILINE)
    for variable in re.findall(r"GRAYHOUND_[A-Z_]+", dockerfile):
        assert variable in map(settings.variable, settings.options())


# --- What a running proxy shows ------------------------------------------------------------------------------------


async def test_every_path_of_the_admin_port_answers(proxy: Proxy) -> None:
    table = re.findall(r"^\| (`/.*?) \|", README, re.MULTILINE)
    paths = [path for row in table for path in re.findall(r"`(/[^`]*)`", row)]
    assert {"/metrics", "/healthz", "/readyz"} < set(paths)
    async with aiohttp.ClientSession() as session:
        for path in paths:
            asked = path.replace("...", "http://shop.example.com/cart")
            async with session.get(proxy.admin + asked) as response:
                assert response.status == 200, path


async def test_drain_waits_for_the_end_of_a_version_that_left_the_file(proxy: Proxy, tmp_path: Path) -> None:
    """As typed, but for the port; the states it shows are those there are."""
    text = (tmp_path / "rules.yaml").read_text()
    text = re.sub(r" +v1: .*\n|stable: v1 .*", "", text).replace("{v1: 80, v2: 20}", "{v2: 100}").partition("tests:")[0]
    (tmp_path / "rules.yaml").write_text(text)
    assert len(commands("drain")) == 2
    for arguments in commands("drain"):
        code, out, err = await run(*(arguments[: arguments.index("--admin")] if "--admin" in arguments else arguments),
                                   "--admin", proxy.admin)  # fmt: skip
        assert (code, err) == (0, "")
        assert out.splitlines()[-1] in SHELL
    assert all(f"v1 is {state}" in README for state in get_args(State))


async def test_every_metric_it_names_exists(proxy: Proxy) -> None:
    """With the labels it selects by."""
    assert (await proxy.get("/", headers={"Host": "shop.example.com"}))[0] == 200
    async with aiohttp.ClientSession() as session, session.get(proxy.admin + "/metrics") as response:
        text = await response.text()
    named = set(re.findall(r"(grayhound_[a-z_]+)(?:\{(.*?)\})?", README))
    assert len(named) >= 4
    for name, selector in named:
        if name.startswith("grayhound_mirror_"):
            continue  # tests/test_readme_mirror.py
        series = "\n".join(re.findall(rf"^{name}(?:{{.*}})? .*$", text, re.MULTILINE))
        assert series, name
        assert all(f"{label}=" in series for label in re.findall(r"([a-z]+)=", selector)), (name, selector)


async def test_the_rule_file_does_what_it_promises(proxy: Proxy) -> None:
    """A header or a cookie leads to the new version; a person stays."""
    host = {"Host": "shop.example.com"}
    assert await proxy.get("/", headers=host | {"foo": "bar"}) == (200, "v2")
    assert await proxy.get("/", headers=host | {"Cookie": "foo=bar"}) == (200, "v2")
    for person in range(20):
        cookie = {"Cookie": f"gray={person}"}
        assert len({await proxy.get("/", headers=host | cookie) for _ in range(3)}) == 1


def test_the_first_page_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES_MAX


# --- Links and names of files --------------------------------------------------------------------------------------


def headings(page: Path) -> set[str]:
    """Of a Markdown page, as links name them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, "benchmarks/README.md", "config/examples/README.md"])
def test_links_lead_to_files(page: str) -> None:
    """And, behind a #, to headings."""
    text = (ROOT / page).read_text()
    for picture in re.findall(r'(?:src|srcset)="([^"]+)"', text):
        assert ((ROOT / page).parent / picture).exists(), picture
    for link, _, heading in re.findall(r"\]\((?!https?://)([^)#]*)(#([^)]*))?\)", text):
        target = (ROOT / page).parent / link if link else ROOT / page
        assert target.exists(), link
        assert not heading or heading in headings(target), f"{link}#{heading}"


@pytest.mark.parametrize("page", PAGES)
def test_files_it_names_exist(page: str) -> None:
    """In backticks: from the root, or from within proxy/."""
    names = re.findall(r"`([a-z_0-9]+(?:/[a-z_0-9.]+)+)`", (ROOT / page).read_text())
    assert [name for name in names if not (ROOT / name).exists() and not (ROOT / "proxy" / name).exists()] == []

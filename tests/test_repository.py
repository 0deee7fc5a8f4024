"""What holds for the repository as a whole."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(#[^)\s]+)?\)")
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
NAMES_THAT_SAY_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}


def tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--", pattern], check=True, capture_output=True, text=True
    )
    return [ROOT / line for line in listed.stdout.splitlines()]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target, anchor in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        found = (page.parent / target).resolve()
        assert found.exists(), f"{page.name} links to {target}, which is not there"
        if anchor.startswith("#L"):
            assert len(found.read_text().splitlines()) >= int(anchor[2:]), f"{target} has no line {anchor}"
        elif anchor and found.suffix == ".md":
            assert anchor[1:] in anchors(found), f"{target} has no heading {anchor}"


def test_each_step_of_the_journey_names_a_function_where_its_link_leads():
    page = ROOT / "docs" / "architecture.md"
    steps = re.findall(r"\[`([\w.]+)`\]\(([^)#]+)\)", page.read_text())
    assert len(steps) >= 8
    for name, target in steps:
        source = (page.parent / target).resolve().read_text()
        last = name.rsplit(".", 1)[-1]
        assert re.search(rf"(def|class) {last}\b|^{last}\b", source, re.MULTILINE), f"{target} does not define {name}"


def test_the_journey_is_reached_from_the_readme_and_reaches_the_topology():
    assert "docs/architecture.md" in (ROOT / "README.md").read_text()
    assert "broker/topology.py" in (ROOT / "docs" / "architecture.md").read_text()


def test_no_module_has_a_name_that_says_nothing():
    assert [path for path in tracked("*.py") if path.stem in NAMES_THAT_SAY_NOTHING] == []


def test_every_decision_is_in_the_index():
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text()
    records = sorted(path.name for path in folder.glob("0*.md"))
    assert records
    assert [name for name in records if f"({name})" not in index] == []


def test_tests_have_no_package_files():
    assert tracked("tests/**/__init__.py") == []

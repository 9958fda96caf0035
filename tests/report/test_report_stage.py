"""The files of a report, compared with golden ones. After a wanted change: WM_GOLDEN=write pytest tests/report."""

import csv
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from world_modality.errors import UserError
from world_modality.report.charts import COLOURS, DASHES, MARKERS, look
from world_modality.report.console import console_lines

GOLDEN = Path(__file__).parent / "golden"


def compare(name, content):
    if os.environ.get("WM_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(content)
    assert content == (GOLDEN / name).read_text()


@pytest.mark.parametrize("name", ["table.md", "table.csv"])
def test_the_files_are_as_in_the_golden_ones(toy, report, name):
    folder, _ = report(toy)
    compare(name, (folder / name).read_text())


def test_the_console_table_is_as_in_the_golden_one(toy, report):
    folder, _ = report(toy)
    compare("console.txt", "\n".join(console_lines(json.loads((folder / "table.json").read_text()))) + "\n")


def test_csv_and_json_tell_the_same(toy, report):
    folder, facts = report(toy)
    table = json.loads((folder / "table.json").read_text())
    rows = list(csv.DictReader((folder / "table.csv").open()))
    rates = [row for row in rows if row["kind"] == "rate"]
    assert [(r["condition"], int(r["successes"]), float(r["low"])) for r in rates] == [
        (r["condition"], r["successes"], r["low"]) for r in table["rates"]
    ]
    differences = [
        (r["claim"], r["scope"], r["word"], float(r["estimate"]))
        for r in rows
        if r["kind"] == "difference" and not r["task"]
    ]
    told = {(v["claim"], v["scope"], v["word"], v["estimate"]) for v in table["judgement"]["verdicts"]}
    assert set(differences) == told
    assert len(differences) == 8
    assert facts == {"episodes": 40, "failed_gates": []}


def test_every_difference_of_the_csv_says_how_sure_it_is(toy, report):
    toy.suites, toy.seeds = ("libero_spatial", "libero_10"), (0, 1)
    folder, _ = report(toy)
    table = json.loads((folder / "table.json").read_text())
    with (folder / "table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "difference"]
    assert {(row["confidence"], row["seeds"]) for row in rows} == {("0.95", "2")}
    assert all(int(row["scenes"]) in (4, 8) for row in rows)
    verdicts = [row for row in rows if row["word"]]
    for name in ("p_greater", "p_less", "detectable"):
        assert [row[name] for row in verdicts] == [
            "" if each[name] is None else str(each[name]) for each in table["judgement"]["verdicts"]
        ]
    assert any(row["p_greater"] for row in verdicts)
    tasks = [row for row in rows if row["task"] and row["scope"] == "checkpoint"]
    assert [float(row["p_holm"]) for row in tasks] == [each["p_holm"] for each in table["task_differences"]]


def test_every_line_of_the_csv_says_which_assets_were_used(toy, report):
    folder, _ = report(toy)
    with (folder / "table.csv").open() as file:
        rows = csv.DictReader(file)
        assert (rows.fieldnames or [])[:2] == ["study", "label"]
        assert {(row["study"], row["label"]) for row in rows} == {("toy", "libero_spatial (assets aaaaaaaaaaaaaaaa)")}


def test_keys_reach_back_to_the_data(toy, report):
    folder, _ = report(toy)
    table = json.loads((folder / "table.json").read_text())
    assert len(table["stages"]) == 14
    assert table["versions"]["torch"] == "2.11.0"


def test_a_missing_record_upstream_is_named(toy, report):
    toy.write()
    original = toy._training
    toy._training = lambda arm, seed: _without_dataset(original(arm, seed), toy.root)
    with pytest.raises(UserError, match=r"dataset/data/DONE\.json is missing"):
        report(toy)


def _without_dataset(folder, root):
    (root / "dataset" / "data" / "DONE.json").unlink(missing_ok=True)
    return folder


class Page(HTMLParser):
    """Checks nesting, collects what a browser would fetch and what a screen reader would say of figures."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.figures, self.headings = [], [], [], []
        self.links, self.ids = [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        places = [attributes[name] for name in ("src", "href") if name in attributes]
        self.fetched += [place for place in places if not place.startswith("#")]
        self.links += [place.removeprefix("#") for place in places if place.startswith("#")]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag == "svg":
            self.figures.append(attributes)
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)
        if tag not in ("meta", "br", "hr", "img", "input", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_offline_and_readable_aloud(toy, report):
    folder, _ = report(toy)
    html = (folder / "report.html").read_text()
    page = Page()
    page.feed(html)
    assert page.open == []
    assert page.fetched == []
    assert "url(" not in html
    assert "@import" not in html
    # The rule's claims, further differences, rates 3, tasks and scenes 4 claims each, loss, gate, cosines at two k, two
    # per Prophet.
    assert len(page.figures) == 29
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.links) <= set(page.ids)
    assert all(figure["role"] == "img" and figure["aria-label"] for figure in page.figures)
    assert 'lang="en"' in html
    assert page.headings[0] == "h1"
    assert page.headings.count("h1") == 1
    assert re.search(r"E2 &gt; E0</th><td>these checkpoints \(secondary\)</td><td>\+25.0 \[", html)
    assert "&lt;1M parameters&gt;" in html


def test_every_table_scrolls_by_itself_where_it_is_too_wide(toy, report):
    toy.seeds = (0, 1, 2)
    html = (report(toy)[0] / "report.html").read_text()
    assert "by other analyses" in html
    open_divs: list[str] = []
    for tag in re.findall(r"<div[^>]*>|</div>|<table>", html):
        if tag == "<table>":
            assert any('class="scroll"' in each for each in open_divs)
        elif tag == "</div>":
            open_divs.pop()
        else:
            open_divs.append(tag)


def test_gates_are_a_table_and_axes_say_what_they_measure(toy, report):
    html = (report(toy)[0] / "report.html").read_text()
    checks = html.partition('aria-label="Gates"')[2].partition("</table>")[0]
    assert re.search(
        r'<tr><td class="word passed">passed</td><th scope="row">E1 equals E0, episode by episode</th>'
        r'<td class="wide">0 of',
        checks,
    )
    figures = re.findall(r"<svg.*?</svg>", html)
    words = [set(re.findall(r">([^<]+)</text>", figure)) for figure in figures]
    assert "difference in success (percentage points)" in words[0]
    assert sum("success rate (%)" in found for found in words) == 3
    assert any({"training steps", "loss"} <= found for found in words)
    assert any({"frames ahead, k", "skill"} <= found for found in words)


def test_the_first_screen_has_verdict_claims_table_and_what_could_be_found(toy, report):
    html = (report(toy)[0] / "report.html").read_text()
    first = html.partition('<section id="answer"')[2].partition("</section>")[0]
    assert first.count("<svg") == 1
    places = [
        first.index(each)
        for each in ("<h1>", "<strong>cannot tell</strong>", "<svg", "<td>6/8 ", "45.1 points", "<1M" and "&lt;1M")
    ]
    assert places == sorted(places)
    assert "no difference: 1 seed, at least 3 needed" in first
    assert "80% power" in first


def test_the_same_records_make_the_same_bytes(toy, report):
    def files(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    first = files(report(toy)[0])
    assert files(report(toy)[0]) == first
    assert sum(path.suffix == ".svg" for path in first) == 29


def test_series_are_told_apart_without_colours():
    assert len(set(DASHES)) == len(set(MARKERS)) == len(COLOURS)
    looks = [tuple(map(str, look(series).values())) for series in range(3 * len(COLOURS))]
    assert len(set(looks)) == len(looks)


def test_the_page_names_episodes_that_should_be_equal(toy, report):
    toy.outcomes["E1"] = ("1100", "0010")
    folder, facts = report(toy)
    assert facts["failed_gates"] == ["E1 equals E0, episode by episode"]
    assert "init state 13" in (folder / "report.html").read_text()


def test_trainings_that_differ_in_more_than_memory_and_seed_make_no_table(toy, report, tmp_path):
    toy.seeds = (0, 1)
    original = toy._training

    def shorter(arm, seed):
        folder = original(arm, seed)
        if (arm, seed) == ("E2", 1):
            described = json.loads((folder / "arm.json").read_text())
            (folder / "arm.json").write_text(json.dumps({**described, "steps": 300}))
        return folder

    report(toy)
    toy._training = shorter
    with pytest.raises(
        UserError, match=r"train E0/0 \(train/trainE00\) and train E2/1 \(train/trainE21\) differ .* steps is 400"
    ):
        report(toy)


def test_the_page_says_where_the_prophets_other_baselines_are(toy, report):
    html = (report(toy)[0] / "report.html").read_text()
    caption = html.partition('<h2 id="trainings">')[2].partition("<h2")[0]
    assert "beside persistence alone: the other baselines (mean reversion, velocity, ridge)" in caption


def test_a_constant_or_unreadable_metric_does_not_break_the_page(toy, report):
    original = toy._training

    def flat(arm, seed):
        folder = original(arm, seed)
        rows = [{"step": 1, "flow_loss": 0.5}, {"step": 2, "flow_loss": 0.5}, {"step": 3, "world_gate": float("nan")}]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n")
        return folder

    toy._training = flat
    folder, _ = report(toy)
    html = (folder / "report.html").read_text()
    assert "Action loss" in html
    assert "NaN" not in html
    assert "Opening of the memory" not in html


def test_curves_of_several_seeds_share_their_arms_colour(toy, report):
    toy.seeds = (0, 1, 2)
    folder, _ = report(toy)
    curves = (folder / "figures" / "curves.action-loss.svg").read_text()
    assert curves.count(f"stroke: {COLOURS[0]}") == 3 + 1  # a line per seed and the legend
    assert "E0, seed 2, from" in curves

"""The table and the page of a panel, from made-up outcomes whose answers are known."""

import csv
import io

import pytest

from gulmfit.evaluate.outcomes import Outcome
from gulmfit.report.html import render
from gulmfit.report.panel_page import PanelRow, compared, cost_rows, panel_report, panel_tsv, panel_verdict, set_rows

SCORES = ["auroc", "mcc"]


def outcome(network: float, cnn: float, **more: float) -> Outcome:
    values = {"model": network, "cnn": cnn, "majority": 0.5, **more}
    models = {
        name: {"auroc": (value, value - 0.01, value + 0.01), "mcc": (2 * value - 1, 0.0, 1.0)}
        for name, value in values.items()
    }
    return Outcome("set", "auroc", models, seconds=12.3, tested=100)


def ran(name: str, kind: str, cell: str, count: int, found: Outcome, report: str) -> PanelRow:
    return PanelRow(name, kind, "ran", {"cell": cell}, count, found, 0.7, (0.01, 0.2), "", report)


ROWS = [
    ran("a", "shuffle", "K562", 900, outcome(0.9, 0.8, scratch=0.85), "sets/a (1)/report.html"),
    ran("a", "matched", "K562", 900, outcome(0.6, 0.7), "sets/a/m/report.html"),
    ran("b", "shuffle", "HepG2", 1200, outcome(0.8, 0.8), "sets/b/report.html"),
    ran("c", "shuffle", "K562", 800, outcome(0.95, 0.96), "sets/c/report.html"),
    PanelRow("d <b>", "shuffle", "failed", {"cell": "K562"}, 700, None, note="exit status 1:\nbroken\tfile"),
    PanelRow("e", "shuffle", "left out", {}, 10, None, note="10 training sequences"),
]


def test_kinds_of_negatives_are_compared_apart() -> None:
    found = compared(ROWS, "auroc")
    assert set(found) == {"shuffle", "matched"}
    assert set(found["matched"]) == {"model", "cnn"}  # who knows nothing is no method
    cnn = found["shuffle"]["cnn"]
    assert (cnn["sets"], cnn["wins"], cnn["losses"]) == (3, 1, 1)
    assert found["shuffle"]["scratch"]["sets"] == 1


def test_every_set_has_a_row() -> None:
    table = set_rows(ROWS, SCORES)
    assert [row["set"] for row in table] == ["a", "a", "b", "c", "d <b>", "e"]
    assert table[0]["network AUROC"] == pytest.approx((0.9, 0.89, 0.91))
    assert table[0]["twin from scratch AUROC"] == pytest.approx((0.85, 0.84, 0.86))
    assert table[0]["which"] == "one-layer CNN"
    assert table[5][""] == "left out: 10 training sequences"
    assert all(list(row) == list(table[0]) for row in table)


def test_the_tsv_has_every_number_and_every_note() -> None:
    rows = list(csv.DictReader(io.StringIO(panel_tsv(ROWS, SCORES)), delimiter="\t"))
    assert [row["model"] for row in rows if row["set"] == "a" and row["negatives"] == "shuffle"] == [
        "model", "cnn", "majority", "scratch",
    ]  # fmt: skip
    assert (rows[0]["auroc"], rows[0]["auroc_low"], rows[0]["mcc"], rows[0]["seconds"]) == ("0.9", "0.89", "0.8", "12")
    (failed,) = [row for row in rows if row["state"] == "failed"]
    assert failed["note"] == "exit status 1: broken file"
    assert rows[-1]["training_sequences"] == "10"


def test_the_page_links_to_every_run_and_escapes_names() -> None:
    page = render(panel_report({"run": "encode", "seed": 0}, ROWS, SCORES, None, [("command", "python train.py")]))
    assert '<a href="sets/a%20%281%29/report.html">a</a>' in page
    assert page.count("/report.html") == 4
    assert "d &lt;b&gt;" in page
    assert page.count("<figure>") == 3
    assert "by cell" in page
    assert "2 of" not in page.split("<section")[0]


def test_one_network_for_all_is_a_method_with_its_costs() -> None:
    found = outcome(0.9, 0.8, multi_label=0.99)
    assert found.best("auroc") == "cnn"
    rows = [ran("a", "shuffle", "K562", 900, found, "a.html")]
    assert set_rows(rows, SCORES)[0]["one network for all AUROC"] == pytest.approx((0.99, 0.98, 1.0))
    assert compared(rows, "auroc")["shuffle"]["multi_label"]["losses"] == 1
    costs = {"shuffle": {"model": {"networks": 8, "seconds": 1234}, "multi_label": {"networks": 1, "seconds": 567}}}
    assert cost_rows(costs)[1] == {
        "negatives": "shuffle", "method": "one network for all", "networks": 1, "seconds": 567,
    }  # fmt: skip
    page = render(panel_report({"run": "encode", "seed": 0}, rows, SCORES, None, [], costs))
    assert "One network for all sets" in page
    assert "1234" in page
    assert "One network for all sets" not in render(panel_report({"run": "e", "seed": 0}, ROWS, SCORES, None, []))


def test_the_verdict_counts() -> None:
    told = panel_verdict(ROWS, compared(ROWS, "auroc"), "auroc")
    assert "median AUROC over 3 sets is 0.900 (lowest 0.800), at or above the best baseline on 2." in told
    assert told.endswith("1 failed, 1 left out.")


def test_nothing_has_been_run_yet() -> None:
    rows = [PanelRow("a", "", "not yet")]
    assert compared(rows, "auroc") == {}
    assert "not yet" in render(panel_report({"run": "x", "seed": 0}, rows, SCORES, None, []))

"""Wild networks without their graphs: one is answered, and the report counts what was answered."""

from bench.bare import VERDICTS, WRONG, Outcome, outcome, report, wild_ids
from zoo.catalog import Zoo


def test_a_network_is_answered_without_its_graph():
    ids = list(wild_ids())
    assert len(ids) == sum(len(Zoo().collection(name)) for name in {one.split("/")[0] for one in ids}) > 150
    assert "mnist-wild/unseen/3" in ids
    found = outcome("mnist-wild/unseen/3")
    assert found.verdict == "inside" and found.low <= found.truth <= found.high
    assert found.truth == Zoo().row("mnist-wild/unseen/3")["test_accuracy"]


def test_the_report_counts_verdicts_and_names_wrong_ones():
    outcomes = [
        Outcome("a/test/0", "final", "inside", 0.5, 0.5, 0.4, 0.6),
        Outcome("a/test/1", "final", "wrong", 0.9, 0.5, 0.4, 0.6),
        Outcome("a/test/2", "early", "none", 0.1),
    ]
    text = report(outcomes)
    assert "| final | 1 of 2 | 0 of 2 | 1 of 2 | 0 of 2 |" in text
    assert "| early | 0 of 1 | 0 of 1 | 0 of 1 | 1 of 1 |" in text
    assert "| a/test/1 | 90.0% | 50.0% | 40.0% to 60.0% |" in text and "a/test/0" not in text
    assert all(title in text for title in (*VERDICTS.values(), *WRONG.values()))
    assert "None." in report(outcomes[:1])

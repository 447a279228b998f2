import math

from fmcvqa.report.grid import comma_separated, decimal, exact, filled, interval, markdown, plain, with_spread
from fmcvqa.report.results import Score


def test_numbers() -> None:
    assert decimal(0.81786) == "0.8179"
    assert decimal(math.nan) == "n/a"
    assert with_spread(Score(0.8179, 0.021)) == "0.8179 ± 0.0210"
    assert with_spread(Score(0.7, None, (0.65, 0.74)), 2) == "0.70 [0.65, 0.74]"
    assert with_spread(Score(0.7)) == "0.7000"
    assert interval(Score(0.8179, 0.021, (0.7951, 0.8376))) == "[0.795, 0.838]"
    assert interval(Score(0.8179, 0.021)) == ""
    assert (exact(0.1 + 0.2), exact(None), exact(math.nan)) == ("0.30000000000000004", "", "")


def test_markdown_escapes_what_would_end_a_cell() -> None:
    assert markdown(["a", "b", "c"], [["x|y", "z", "1"]]) == "| a | b | c |\n|:---|:---|---:|\n| x\\|y | z | 1 |\n"


def test_empty_columns_go() -> None:
    assert filled(["a", "b", "c"], [["1", "", ""], ["2", "", "x"]]) == (["a", "c"], [["1", ""], ["2", "x"]])


def test_csv_quotes_what_needs_it() -> None:
    assert comma_separated(["a", "b"], [["x,y", "1"]]) == 'a,b\n"x,y",1\n'


def test_plain_text_is_aligned() -> None:
    assert plain(["name", "n"], [["a", "10"], ["longer", "5"]], left=1) == (
        "name     n\n------  --\na       10\nlonger   5\n"
    )

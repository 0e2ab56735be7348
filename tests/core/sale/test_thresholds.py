"""The grammar of thresholds, form by form."""

import pytest

from sidecar.core.sale.thresholds import Expression, Subject, expression, subject


@pytest.mark.parametrize(
    ("text", "metric", "expected"),
    [
        ("p(99)<800", "latency_ms", Expression("p", "<", 800, 99.0)),
        ("  p(99.9)  >=  1.5 ", "latency_ms", Expression("p", ">=", 1.5, 99.9)),
        ("med<=5", "processing_ms", Expression("med", "<=", 5)),
        ("count===3", "orders", Expression("count", "===", 3)),
        ("rate>0.5", "fault_rate", Expression("rate", ">", 0.5)),
        ("value!=0", "oversold_units", Expression("value", "!=", 0)),
        ("p(99)<=1.10*baseline", "latency_ms", Expression("p", "<=", 1.1, 99.0, relative=True)),
        ("p(99)<=baseline * 2", "latency_ms", Expression("p", "<=", 2, 99.0, relative=True)),
        ("avg<baseline", "latency_ms", Expression("avg", "<", 1, relative=True)),
    ],
)
def test_an_expression_is_parsed(text: str, metric: str, expected: Expression) -> None:
    assert expression(text, metric) == expected


@pytest.mark.parametrize(
    ("text", "metric", "says"),
    [
        ("p(99)", "latency_ms", "write a method, an operator and a number"),
        ("", "latency_ms", "write a method"),
        ("p(99)<800ms", "latency_ms", "a plain number without a unit"),
        ("p(99)<1e3", "latency_ms", "a plain number"),
        ("p(99)<-1", "latency_ms", "a plain number"),
        ("p(99)<NaN", "latency_ms", "a plain number"),
        ("p(99)<", "latency_ms", "a plain number"),
        ("rate<1%", "fault_rate", "a plain number"),
        ("p(97)<5", "latency_ms", "a report has p(50), p(90), p(95), p(99), p(99.9)"),
        ("p( 99 )<5", "latency_ms", "latency_ms is a trend, which has avg, min, med, max, p(N)"),
        ("P(99)<5", "latency_ms", "latency_ms is a trend"),
        ("rate<5", "latency_ms", "latency_ms is a trend"),
        ("p(99)<5", "orders", "orders is a counter, which has count, rate"),
        ("rate>1 && rate<2", "orders", "a plain number"),
    ],
)
def test_what_is_no_expression_says_what_to_write(text: str, metric: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        expression(text, metric)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("latency_ms", Subject("latency_ms")),
        ("latency_ms{phase:rush}", Subject("latency_ms", "phase", "rush")),
        (' units_sold { product : "a:b" } ', Subject("units_sold", "product", "a:b")),
    ],
)
def test_a_name_may_have_a_tag(name: str, expected: Subject) -> None:
    assert subject(name) == expected


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("latencyms", 'did you mean "latency_ms"?'),
        ("wages", "there is orders, units_sold"),
        ("latency_ms{", "there is no metric"),
        ("latency_ms{region:eu}", "write latency_ms{phase:...} or latency_ms{status:...}"),
        ("latency_ms{phase}", "write latency_ms{phase:...}"),
        ("latency_ms{phase:}", "write latency_ms{phase:...}"),
        ("completeness{phase:rush}", "write completeness, without a tag"),
    ],
)
def test_a_misspelled_name_is_an_error(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        subject(name)
    assert says in str(error.value)

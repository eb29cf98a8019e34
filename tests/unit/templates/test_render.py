"""Templates: what they may say, what is filled in, and what none of them can do to the machine."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from templates.limits import MAX_OUTPUT, MAX_SOURCE, Bounds
from templates.render import RenderError, TooMuch, compile_line, compile_text

PERSON: Mapping[str, object] = {
    "first_name": "Ann",
    "company": None,
    "empty": " ",
    "price": 1234.5,
    "born": "1990-02-03",
    "items": [{"name": "Tea", "qty": 2}, {"name": "R&B", "qty": 1}],
    "contact": {"first_name": "Ann", "city": None, "2nd": "x"},
}


def html(source: str, variables: Mapping[str, object] = PERSON) -> str:
    return compile_text(source, html=True).render(variables)


def refused(source: str, variables: Mapping[str, object] = PERSON) -> RenderError:
    with pytest.raises(RenderError) as caught:
        compile_text(source, html=True).render(variables)
    return caught.value


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hi {{ first_name }}", "Hi Ann"),
        ('Hi {{ nick | default("there") }}', "Hi there"),
        ('Hi {{ company | default("there") }}', "Hi there"),
        ('Hi {{ empty | default("there") }}', "Hi there"),
        ('Hi {{ contact.city | default("there") }}', "Hi there"),
        ("{{ contact.first_name }}{{ contact['first_name'] }}", "AnnAnn"),
        ("{% if company %}at {{ company }}{% endif %}!", "!"),
        ("{{ company or 'nobody' }}", "nobody"),
        ("{{ 'a' if company }}", ""),
        ("{% for item in items %}{{ loop.index }} {{ item.name }};{% endfor %}", "1 Tea;2 R&amp;B;"),
        ("{% for item in items if item.qty > 1 %}{{ item.name }}{% else %}none{% endfor %}", "Tea"),
        ("{% for key, value in contact | items %}{{ key }} {% endfor %}", "first_name city 2nd "),
        ("{% for n in range(3) %}{{ n }}{% endfor %}", "012"),
        ("{% set n = 2 %}{{ n * 3 }}", "6"),
        ("{{ items | join(', ', attribute='name') }}", "Tea, R&amp;B"),
        ("{{ first_name ~ '!' | upper }}", "Ann!"),
        ("{{ price | number(2, '.', ',') }}", "1.234,50"),
        ("{{ born | date('%-d.%-m.%Y') }}", "3.2.1990"),
        ("{{ 'One two three' | truncate(9) }}", "One two…"),
        ("{{ 'a b&c' | urlencode }}", "a%20b%26c"),
        ("{{ '<b>' }}{{ '<b>' | safe }}", "&lt;b&gt;<b>"),
        ("{# a {{ broken #}{% raw %}{{ x }}{{{y}}}{% endraw %}", "{{ x }}{{{y}}}"),
        ("no placeholder { } {", "no placeholder { } {"),
    ],
)
def test_filled_in(source: str, text: str) -> None:
    assert html(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hi {{{first_name}}}", "Hi Ann"),
        ("Hi {{{ contact.first_name|there }}}", "Hi Ann"),
        ("Hi {{{contact.city|you \"all\" \\o/ <b>}}}", "Hi you &#34;all&#34; \\o/ &lt;b&gt;"),
        ("{{{contact.2nd}}}", "x"),
        ("{{{nobody|}}}.", "."),
        ('<a href="{{{RESEND_UNSUBSCRIBE_URL}}}">', '<a href="{{{RESEND_UNSUBSCRIBE_URL}}}">'),
        ("{{{ UNSUBSCRIBE_URL }}} {{ first_name }}", "{{{UNSUBSCRIBE_URL}}} Ann"),
        ("{{ '{{{UNSUBSCRIBE_URL}}}' }}", "{{{UNSUBSCRIBE_URL}}}"),
        ("{% raw %}{{{UNSUBSCRIBE_URL}}}", ""),
    ],
)  # fmt: skip
def test_notation_of_resend(source: str, text: str) -> None:
    if "{% raw" in source:
        assert "raw" in refused(source).reason
    else:
        assert html(source) == text


def test_values_are_escaped_in_html_and_not_in_text() -> None:
    source, values = "{{ a }} {{{a}}}", {"a": '<b>"R&B"'}

    assert compile_text(source, html=True).render(values) == "&lt;b&gt;&#34;R&amp;B&#34; &lt;b&gt;&#34;R&amp;B&#34;"
    assert compile_text(source, html=False).render(values) == '<b>"R&B" <b>"R&B"'


def test_a_value_is_no_template() -> None:
    assert html("{{ a }}", {"a": "{{ first_name }}{% raw %}"}) == "{{ first_name }}{% raw %}"


def test_what_is_asked_for_is_known() -> None:
    compiled = compile_text(
        """{{ a }}{{ b | default("x") }}{{{c|y}}}{{ contact.d }}{% if e %}{{ e }}{% endif %}{% if f is defined %}
        {{ f.g }}{% endif %}{% for h in hs %}{{ h.x }}{{ loop.index }}{% endfor %}{% set i = 1 %}{{ i }}{{ j or 1 }}""",
        html=True,
    )

    assert compiled.variables == {"a", "b", "c", "contact.d", "e", "f", "f.g", "hs", "j"}
    assert compiled.required == {"a", "contact.d", "f.g", "hs"}


def test_what_is_counted_is_a_variable_and_counting_is_none() -> None:
    compiled = compile_text("{% for n in range(rows) %}{{ n }}{{ a }}{% endfor %}", html=True)
    assert compiled.required == compiled.variables == {"rows", "a"}


@pytest.mark.parametrize(
    ("source", "line", "variable"),
    [
        ("a\n{{ nick }}", 2, "nick"),
        ("\n\n{{ contact.nick }}", 3, "contact.nick"),
        ("{{ contact.city }}", 1, "contact.city"),
        ("{{ company }}", 1, "company"),
        ("{{ company.name }}", 1, "company"),
        ("{{ first_name.nick }}", 1, "first_name.nick"),
        ("{{ nick | upper }}", 1, "nick"),
        ("{% if nick %}{% endif %}", 1, "nick"),
        ("{% for a in nick %}{% endfor %}", 1, "nick"),
        ("{{ nick ~ 1 }}", 1, "nick"),
        ("{{ nick + 1 }}", 1, "nick"),
        ("{% for a in [1, 2] %}\n{{ a }}{{ nick }}{% endfor %}", 2, "nick"),
    ],
)
def test_what_is_missing_is_named_with_its_line(source: str, line: int, variable: str) -> None:
    error = refused(source)

    assert (error.line, error.variable) == (line, variable)
    assert str(error) == f"line {line}: `{variable}` has no value"


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("a\n{{ b", 2, "end of"),
        ("{% if a %}", 1, "Unexpected end of template"),
        ("\n{{ a | nothing }}", 2, "there is no filter `nothing`"),
        ("{{ a is callable }}", 1, "there is no test `callable`"),
        ("{{ first_name.upper() }}", 1, "calls are not possible"),
        ("{% include 'x' %}", 1, "name a layout"),
        ("{% extends 'x' %}", 1, "name a layout"),
        ("{% block a %}{% endblock %}", 1, "name a layout"),
        ("{% import 'x' as y %}", 1, "not possible"),
        ("{% macro m() %}{{ m() }}{% endmacro %}", 1, "macros"),
        ("{% set a %}x{% endset %}", 1, "`= value`"),
        ("{% call x() %}{% endcall %}", 1, "not possible"),
        ("{% filter upper %}a{% endfilter %}", 1, "not possible"),
        ("{% with a = 1 %}{% endwith %}", 1, "not possible"),
        ("{% autoescape false %}{% endautoescape %}", 1, "not possible"),
        ("{{ self }}", 1, "word of the language"),
        ("{{ items }}", 1, "a list cannot be printed"),
        ("{{ contact }}", 1, "an object cannot be printed"),
        ("{{ first_name * 3 }}", 1, "needs numbers"),
        ("{{ 1 / 0 }}", 1, "division by zero"),
        ("{{ '\\ud800' }}", 1, "surrogate"),
        ("{{ born | date('%999999999d') }}", 1, "%9 is not known"),
        ("{{ first_name | number }}", 1, "not a number"),
        ("{{ first_name | upper(1, 2) }}", 1, "argument"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(source: str, line: int, said: str) -> None:
    error = refused(source)

    assert error.line == line
    assert said in error.reason


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ first_name['__class__'] }}",
        "{{ items.append }}",
        "{{ contact.keys }}",
        "{{ contact.__init__ }}",
        "{% for a in [1] %}{{ loop.__class__ }}{{ loop._iterator }}{% endfor %}",
        "{{ '%s' % first_name }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{a.__class__}'.format_map(contact) }}",
        "{{ first_name | format(1) }}",
        "{{ first_name | attr('upper') }}",
        "{{ [1] | map('upper') }}",
        "{{ cycler }}",
        "{{ lipsum() }}",
        "{{ namespace() }}",
        "{{ range }}",
    ],
)
def test_nothing_of_python_can_be_reached(source: str) -> None:
    refused(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(10**9) %}{% endfor %}",
        "{% for a in range(999999999999) %}{% endfor %}",
        "{% for a in range(49999) %}{{ big }}{% endfor %}",
        "{% for a in range(9) %}" * 7 + "{% endfor %}" * 7,
        "{% for a in x recursive %}{{ loop(a) }}{% endfor %}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ 'a' * 999999999 }}",
        "{{ [1] * 999999999 }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ 'a' | center(999999999) }}",
        "{{ 1 | round(999999999) }}",
        "{{ 1 | number(999999999) }}",
        "{{ 99999999999999999999 }}",
        "{% set a = 99999 %}" + "{% set a = a * a %}" * 40,
        "{% set a = big %}" + "{% set a = a ~ a %}" * 40,
        "{% set a = big %}" + "{% set a = a + a %}" * 40,
        "{% set a = '&' * 1 %}",
        "{% set a = '&' %}" + "{% set a = a | replace('&', '&&&&&&&&&&') %}" * 40,
        "{% set a = '&' %}" + "{% set a = a | e | string | replace('a', '&&&&&&&&') %}" * 40,
        "{% set a = big | e %}" + "{% set a = a ~ '&' ~ a %}" * 40,
        "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40,
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "-" * 5000 + "1 }}",
        "{{ a" + ".b" * 5000 + " }}",
        "{{ a" + "|upper" * 5000 + " }}",
        "{{ " + "a + " * 5000 + "1 }}",
        "{{ " + "a, " * 300_000 + "1 }}",
        "{{ a }}" * 50_000,
        "{% if 1 %}" * 2000 + "{% endif %}" * 2000,
        "{% raw %}" * 50_000,
        "{#" * 200_000,
        "{{{a" * 100_000,
        "x" * (MAX_SOURCE + 1),
    ],
)
def test_no_template_takes_more_than_its_share(source: str) -> None:
    """Each ends soon (the test's own limit is a minute for all) and with a reason."""
    assert refused(source, {"big": "x&" * 5_000, "a": 1, "x": [[[]]]}).reason


def test_processor_time_ends_what_counts_let_through() -> None:
    """Half a second's work on a fast machine."""
    source = (
        "{% for a in range(200) %}{% for b in range(200) %}{% if big ~ b == big ~ a %}{% endif %}" + "{% endfor %}" * 2
    )

    with pytest.raises(TooMuch, match=r"more than 0\.02 s of processor time"):
        compile_text(source, html=False).render({"big": "x" * 250_000}, Bounds(seconds=0.02))


def test_what_takes_long_is_known_before() -> None:
    assert compile_text("{{ a }}{% if a %}x{% endif %}" * 50, html=True).quick
    assert compile_text("plain", html=True).quick
    assert not compile_text("{{ a }}" * 600, html=True).quick
    assert not compile_text("{% for a in b %}{% endfor %}", html=True).quick


def test_output_is_bounded() -> None:
    assert "characters" in refused("{{ a }}{{ a }}", {"a": "x" * (MAX_OUTPUT // 2 + 1)}).reason


def test_nul_does_not_reach_the_database() -> None:
    assert html("{{ a }}{{ '\\0' }}\0b", {"a": "x\0y"}) == "xyb"


@pytest.mark.parametrize("source", ["Hi {{ a }}", "Hi\r\nBcc: x@example.com {{ a }}", "{{{a}}}", "x\ny"])
@given(value=st.text())
@settings(max_examples=50)
def test_a_line_stays_one_line(source: str, value: str) -> None:
    line = compile_line(source).render({"a": value})

    assert len(line.splitlines()) <= 1
    assert line.isprintable() or not set(line) & set("\r\n\0\x85\u2028\u2029")


@given(source=st.text(alphabet="{}%#|'\"ab .()[]\\-~\n", max_size=60))
@settings(max_examples=50)
def test_whatever_is_written_ends_in_a_text_or_a_reason(source: str) -> None:
    try:
        ended = compile_text(source, html=True).render({"a": "x", "b": {"a": 1}})
    except RenderError as error:
        ended = error.reason or "no reason"

    assert ended != "no reason"


def test_what_falls_into_a_rendering_once_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that jumps by seconds at its second reading, as it does when garbage is collected, and then by none."""
    readings = iter([0.0, 5.0])
    monkeypatch.setattr("time.thread_time", lambda: next(readings, 5.0))
    made = compile_text("{% for n in numbers %}{{ n }}{% endfor %}", html=False)
    numbers = list(range(100))
    assert made.render({"numbers": numbers}, Bounds(0.1, 10_000)) == "".join(map(str, numbers))

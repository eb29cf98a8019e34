"""Whether a mail is traced stands in its id, and everybody who reads the id agrees."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID

import pytest
from pydantic import ValidationError

from core import tracing
from core.errors import ConfigurationError
from core.ids import moment_of, uuid7
from core.settings import Settings
from core.tracing import Caller, Place, Span
from tests.collector import noting
from tests.unit.deploy.commands import ROOT
from tests.unit.test_layout import SHIPPED

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PLACE = Place(int(TRACE, 16), int(SPAN, 16))


@pytest.fixture
def spans() -> Iterator[list[Span]]:
    """What was noted; of mail without a caller half is traced."""
    with noting(0.5) as found:
        yield found


def test_no_mail_is_traced_while_traces_are_off() -> None:
    marked = UUID(int=uuid7().int >> 24 << 24 | tracing._mark(uuid7().int))
    assert not tracing.on()
    assert not tracing.is_traced(marked)
    assert tracing.traced([tracing.mail_id() for _ in range(100)]) == []
    assert tracing.caller_of({"traceparent": f"00-{TRACE}-{SPAN}-01"}) is None


def test_of_mail_without_a_caller_a_share_is_traced(spans: list[Span]) -> None:
    ids = [tracing.mail_id() for _ in range(2000)]
    assert 800 < len(tracing.traced(ids)) < 1200
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {(one.version, one.variant) for one in ids} == {(7, uuid7().variant)}
    assert abs((moment_of(ids[-1]) - moment_of(uuid7())).total_seconds()) < 60


@pytest.mark.parametrize("sampled", [True, False])
def test_a_caller_decides(spans: list[Span], sampled: bool) -> None:
    ids = [tracing.mail_id(Caller(PLACE, sampled)) for _ in range(200)]
    assert len(tracing.traced(ids)) == (200 if sampled else 0)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_or_none(share: float) -> None:
    with noting(share):
        assert len(tracing.traced([tracing.mail_id() for _ in range(200)])) == 200 * share


@pytest.mark.parametrize(
    ("header", "caller"),
    [
        (f"00-{TRACE}-{SPAN}-01", Caller(PLACE, True)),
        (f"00-{TRACE}-{SPAN}-00", Caller(PLACE, False)),
        (f"00-{TRACE}-{SPAN}-03", Caller(PLACE, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", Caller(PLACE, True)),
        ("", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}-{SPAN}-01\n00-{TRACE}-{SPAN}-01", None),
    ],
)
def test_traceparent(spans: list[Span], header: str, caller: Caller | None) -> None:
    assert tracing.caller_of({"traceparent": header} if header else {}) == caller


def test_everybody_names_the_same_spans() -> None:
    email_id = UUID("01983f5e-7c00-7abc-8123-456789abcdef")
    assert tracing.root(email_id) == Place(email_id.int, 0x8123456789ABCDEF)
    at = "2026-11-29T03:00:00+00:00"
    assert tracing.of_moment(email_id, at) == tracing.of_moment(email_id, at) != tracing.of_moment(email_id, at[:-6])
    assert tracing.within(tracing.root(email_id)).trace == email_id.int


def test_a_span_goes_to_whoever_exports(spans: list[Span]) -> None:
    one = Span("accept", PLACE, 0, 1, 2, {})
    tracing.note(one)
    tracing.leave_off()
    tracing.note(one)
    assert spans == [one]


@pytest.mark.parametrize("url", ["collector:4318", "ftp://collector", "http://who:what@collector", "http://"])
def test_a_collector_is_a_url_without_a_password(url: str) -> None:
    with pytest.raises(ValidationError, match=r"http://127\.0\.0\.1:4318"):
        Settings(traces_url=url)


def test_the_path_of_otlp_is_ours() -> None:
    assert Settings(traces_url="http://127.0.0.1:4318/v1/traces").traces_url == "http://127.0.0.1:4318"
    assert Settings(traces_url="https://tempo.example/otlp/").traces_url == "https://tempo.example/otlp"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "core.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match=r"postlane\[traces\]"):
        tracing.start(Settings(traces_url="http://127.0.0.1:9"), "api")
    assert not tracing.on()


def test_nothing_of_it_is_imported_while_traces_are_off() -> None:
    """But for the API of OpenTelemetry, which FastAPI brings, and what redis-py takes of an SDK that is installed."""
    program = """
import sys
from core import tracing
from core.settings import Settings
import api.serve, workers.app, workers.background
tracing.start(Settings(traces_url=""), "api")
ours = ("core.otlp", "opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.proto", "google", "requests")
print([name for name in sys.modules if name.startswith(ours)])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_opentelemetry_has_one_edge() -> None:
    files = [file for name in SHIPPED for file in (ROOT / name).rglob("*.py")]
    naming = [(file, text) for file in files if "opentelemetry" in (text := file.read_text("utf-8"))]
    users = {str(file.relative_to(ROOT)) for file, text in naming if _uses(ast.parse(text))}
    assert users == {"core/otlp.py"}


def _uses(tree: ast.Module) -> bool:
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return any(name.partition(".")[0] == "opentelemetry" for name in named)

"""How well a rule table reads replies: precision and recall over a corpus of labelled replies.

Owns the format of a corpus, JSON lines of real replies with what each of them means:

    {"provider": "gmail", "phase": "rcpt", "code": 550, "enhanced": "5.1.1", "text": "...",
     "class": "invalid_recipient", "action": "bounce", "scope": "recipient", "suppress": true,
     "source": "where it was seen"}

Does not decide anything: a table does.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson

from core.errors import ConfigurationError
from mta.model import Action, Phase, Response, Scope, Verdict
from mta.rules import CLASSES


class Classifier(Protocol):
    """Whoever reads replies: a `RuleTable` or a `RuleBook`."""

    def classify(self, response: Response, provider: str) -> Verdict:
        """The verdict on one reply."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One reply that somebody got, and its meaning by a person's judgement."""

    provider: str
    response: Response
    klass: str
    action: Action
    scope: Scope
    suppress: bool
    source: str


@dataclass(frozen=True, slots=True)
class Share:
    """How often a yes was right (precision), and how many of those that ought to be a yes were one (recall)."""

    right: int
    said: int
    wanted: int

    @property
    def precision(self) -> float:
        """1 when nothing was said: then nothing was wrong."""
        return self.right / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """1 when nothing was wanted."""
        return self.right / self.wanted if self.wanted else 1.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a table made of a corpus."""

    samples: int
    right_class: int
    right_action: int
    right_scope: int
    suppress: Share
    classes: Mapping[str, Share]
    """By class, in the order of `CLASSES`; only those that were wanted or said."""
    rules: Mapping[str, int]
    """Rules that decided something, and how often."""
    wrong: Sequence[tuple[Sample, Verdict]]
    """Samples whose class or suppression was read differently."""

    @property
    def accuracy(self) -> float:
        """Share of samples with the right class."""
        return self.right_class / self.samples if self.samples else 1.0


def read_corpus(file: Path) -> list[Sample]:
    """The samples of one file. Raises `ConfigurationError` naming file and line."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    return [_sample(line, f"{file}: line {n}") for n, line in enumerate(lines, 1) if line.strip()]


def measure(table: Classifier, samples: Iterable[Sample]) -> Figures:
    """Classify all samples and count."""
    count, action, scope = 0, 0, 0
    right, said, wanted = Counter[str](), Counter[str](), Counter[str]()
    suppress, suppress_said, suppress_wanted = 0, 0, 0
    rules = Counter[str]()
    wrong = []
    for sample in samples:
        verdict = table.classify(sample.response, sample.provider)
        count += 1
        action += verdict.action is sample.action
        scope += verdict.scope is sample.scope
        said[verdict.klass] += 1
        wanted[sample.klass] += 1
        right[sample.klass] += verdict.klass == sample.klass
        suppress_said += verdict.suppress
        suppress_wanted += sample.suppress
        suppress += verdict.suppress and sample.suppress
        rules[verdict.rule] += 1
        if verdict.klass != sample.klass or verdict.suppress != sample.suppress:
            wrong.append((sample, verdict))
    shares = {name: Share(right[name], said[name], wanted[name]) for name in CLASSES if said[name] or wanted[name]}
    by_suppress = Share(suppress, suppress_said, suppress_wanted)
    return Figures(count, right.total(), action, scope, by_suppress, shares, rules, wrong)


def _sample(line: bytes, where: str) -> Sample:
    try:
        raw = orjson.loads(line)
        response = Response(Phase(raw["phase"]), int(raw["code"]), str(raw["enhanced"]), str(raw["text"]))
        sample = Sample(
            str(raw["provider"]),
            response,
            str(raw["class"]),
            Action(raw["action"]),
            Scope(raw["scope"]),
            bool(raw["suppress"]),
            str(raw["source"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        what = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigurationError(f"{where}: {what}") from error
    if sample.klass not in CLASSES:
        raise ConfigurationError(f"{where}: {sample.klass!r} is not a class")
    return sample

"""Sort short messages into categories, and say how sure that is: naive Bayes on words, pairs and runs of letters.

A message is the set F of its features. Category c, seen in training with N_c features of which D_c differ, gives feature f
the probability of interpolated Kneser-Ney smoothing (Chen & Goodman 1999, section 2.7), which takes a discount d off every
count n_cf and hands it to q(f), the share of f in all (feature, category) pairs that occur:

    p(f|c) = max(n_cf - d, 0) / N_c  +  d * D_c / N_c * q(f)            d = n1 / (n1 + 2 * n2)   (Ney et al. 1994)

where n1 and n2 count the pairs that occur once and twice. What speaks for c is the lift over q, summed over the message:

    score(c) = sum over f in F of log(p(f|c) / q(f))

Features of one message depend on one another, so naive Bayes is far too sure of itself, and the more so the longer the
message is. A temperature T fitted on held-out messages corrects that (Guo et al. 2017); sqrt(|F|) is the part due to length:

    p(c|F) = softmax over c of  log prior(c) + score(c) / (T * sqrt(|F|))
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

_FOLDS = 5
_RUN_LENGTH = 4  # letters: long enough to hold a stem, short enough to survive a typo
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")

_Row = tuple[dict[str, str], str]  # a message's features (see _features) and its category
_HeldOut = tuple[Sequence[float], list[float], int]  # log priors, scores, index of the true category


@dataclass(frozen=True, kw_only=True, slots=True)
class Classification:
    """The category a message most likely belongs to."""

    category: str
    probability: float  # 0..1, calibrated: of the messages at 0.7, about 70 % are right
    evidence: tuple[str, ...]  # up to three words of the message that spoke most for the category


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A fitted classifier. It never changes, so threads may share it."""

    categories: tuple[str, ...]
    log_priors: tuple[float, ...]  # by category
    lifts: dict[str, list[float]]  # feature: log(p(f|c) / q(f)) by category
    temperature: float = 1.0

    @classmethod
    def fit(cls, messages: Iterable[tuple[str, str]]) -> "Model":
        """Learn from (text, category) pairs; the same pairs in the same order give the same model.

        Raises:
            ValueError: There are no messages.
        """
        rows = [(_features(text), category) for text, category in messages]
        if not rows:
            raise ValueError("a model needs at least one message to learn from")
        return replace(cls._count(rows), temperature=_temperature(list(cls._held_out(rows))))

    def classify(self, text: str) -> Classification:
        """Find the most likely category of a message."""
        features = _features(text)
        probabilities = _softmax(_logits(self.log_priors, self._scores(features), self.temperature))
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        return Classification(
            category=self.categories[best],
            probability=probabilities[best],
            evidence=self._evidence(features, best),
        )

    def probabilities(self, text: str) -> dict[str, float]:
        """Give every category its probability; they sum to one."""
        logits = _logits(self.log_priors, self._scores(_features(text)), self.temperature)
        return dict(zip(self.categories, _softmax(logits), strict=True))

    @classmethod
    def _count(cls, rows: list[_Row]) -> "Model":
        """Estimate everything but the temperature."""
        by_category: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        for features, category in rows:
            by_category[category].append(features)
        categories = tuple(sorted(by_category))
        counts = [Counter(chain.from_iterable(by_category[category])) for category in categories]
        spread = Counter(chain.from_iterable(counts))  # in how many categories a feature occurs
        pairs = spread.total()
        occurrences = Counter(chain.from_iterable(count.values() for count in counts))
        # A half and a one keep the discount between 0 and 1 where there is next to nothing to count.
        discount = (occurrences[1] + 0.5) / (occurrences[1] + 2 * occurrences[2] + 1)
        base = [math.log(discount * len(count) / count.total()) for count in counts]
        lifts: defaultdict[str, list[float]] = defaultdict(base.copy)
        for number, count in enumerate(counts):
            scale = pairs / (discount * len(count))
            for feature, times in count.items():
                lifts[feature][number] += math.log1p((times - discount) * scale / spread[feature])
        return cls(
            categories=categories,
            log_priors=tuple(math.log(len(by_category[category]) / len(rows)) for category in categories),
            lifts=dict(lifts),
        )

    @classmethod
    def _held_out(cls, rows: list[_Row]) -> Iterator["_HeldOut"]:
        """Score messages with models that have not seen them."""
        seen: Counter[str] = Counter()
        folds: list[list[_Row]] = [[] for _ in range(_FOLDS)]
        for row in rows:  # dealt out category by category, so that every fold has its share of each
            folds[seen[row[1]] % _FOLDS].append(row)
            seen[row[1]] += 1
        for fold in folds:
            rest = [row for other in folds if other is not fold for row in other]
            model = cls._count(rest) if rest else None
            for features, category in fold[:: len(rows) // 2000 or 1]:  # some 2,000 settle one number
                if model and category in model.categories:
                    yield model.log_priors, model._scores(features), model.categories.index(category)

    def _scores(self, features: Iterable[str]) -> list[float]:
        """Give score(c) / sqrt(|F|) by category; features never seen in training say nothing."""
        known = [self.lifts[feature] for feature in features if feature in self.lifts]
        if not known:
            return [0.0] * len(self.categories)
        length = math.sqrt(len(known))
        return [sum(lifts) / length for lifts in zip(*known, strict=True)]

    def _evidence(self, features: dict[str, str], best: int) -> tuple[str, ...]:
        """Name the words whose features lifted the best category most."""
        gains: defaultdict[str, float] = defaultdict(float)
        for feature, word in features.items():
            if feature in self.lifts:
                gains[word] += self.lifts[feature][best]
        words = sorted(gains, key=lambda word: -gains[word])
        return tuple(word for word in words[:3] if gains[word] > 0)


def _features(text: str) -> dict[str, str]:
    """Map each feature of a message to the word it came from, in reading order.

    Features are the words, the pairs of neighbours, with the message's ends as neighbours, and every run of four letters.
    """
    words = _WORD.findall(text.casefold().replace("\u2019", "'"))
    found: dict[str, str] = {}
    for before, word, after in zip(["<", *words], words, [*words[1:], ">"]):
        run = f" {word} {after}"
        found.setdefault(word, word)
        found.setdefault(f"{before} {word}", word)
        if after == ">":
            found.setdefault(f"{word} >", word)
        for start in range(len(word) + 1):
            found.setdefault("#" + run[start : start + _RUN_LENGTH], word)
    return found


def _logits(log_priors: Sequence[float], scores: Sequence[float], temperature: float) -> list[float]:
    return [prior + score / temperature for prior, score in zip(log_priors, scores, strict=True)]


def _softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    odds = [math.exp(logit - top) for logit in logits]
    total = sum(odds)
    return [value / total for value in odds]


def _temperature(held_out: list[_HeldOut]) -> float:
    """Find the temperature that makes the true categories of held-out messages most likely.

    Their log-likelihood is concave in 1/T; its slope is the sum of score(truth) - mean score under the model. Where nothing
    could be held out, the temperature is as high as it goes: the model is sure of nothing.
    """
    low, high = 1 / 64, 64.0
    for _ in range(14):
        middle = math.sqrt(low * high)
        slope = 0.0
        for log_priors, scores, truth in held_out:
            weights = _softmax(_logits(log_priors, scores, 1 / middle))
            slope += scores[truth] - sum(weight * score for weight, score in zip(weights, scores, strict=True))
        low, high = (middle, high) if slope > 0 else (low, middle)
    return 1 / low

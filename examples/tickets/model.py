"""Sort short messages into categories and say how sure that is: naive Bayes, with a calibrated probability.

A message is the set F of its features: its words, pairs of neighbouring words, and runs of four letters,
which still match where a word is inflected or misspelt. Of the features seen in training, category c had
N_c, D_c of them different ones. Interpolated Kneser-Ney smoothing (Chen & Goodman 1999) takes
a discount d off every count n_cf and shares it out by q(f), f's share of all pairs (feature, category):

    p(f|c) = max(n_cf - d, 0) / N_c  +  d * D_c / N_c * q(f)        d = n1 / (n1 + 2 * n2)

where n1 and n2 say how many pairs were seen once and twice (Ney, Essen & Kneser 1994). A message speaks for
c by how far c lifts its features above q:

    score(c) = sum over f in F of log(p(f|c) / q(f))

The features of one message depend on one another, so naive Bayes is far too sure of itself, and the surer
the longer the message is. A temperature T, fitted on held-out messages, puts that right (Guo et al. 2017);
the square root takes care of the length:

    p(c|F) = softmax over c of:  log(share of c in training) + score(c) / (T * sqrt(|F|))
"""

import math
import operator
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_RUN_LENGTH = 4  # letters
_FOLDS = 5
_HELD_OUT_MESSAGES = 2000  # more would not change the temperature, only take longer

_Features = dict[str, str]  # feature: the word it came from; a dict, because it keeps the reading order
_Row = tuple[_Features, str]  # and the category
_Scored = tuple[Sequence[float], list[float], int]  # log shares, scores, index of the true category


@dataclass(frozen=True, kw_only=True, slots=True)
class Classification:
    """The category a message most likely belongs to."""

    category: str
    probability: float  # 0..1; of all messages classified with 0.8, about 80 % are classified rightly
    evidence: tuple[str, ...]  # up to three words of the message that spoke most for the category


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A fitted classifier. Nothing changes it, so threads may share it."""

    categories: tuple[str, ...]
    log_shares: tuple[float, ...]  # by category
    lifts: dict[str, list[float]]  # feature: log(p(f|c) / q(f)) by category
    temperature: float = 1.0

    @classmethod
    def fit(cls, messages: Iterable[tuple[str, str]]) -> "Model":
        """Learns from pairs of text and category; the same pairs in the same order make the same model.

        Raises:
            ValueError: there are no messages.
        """
        rows = [(_features(text), category) for text, category in messages]
        if not rows:
            raise ValueError("a model needs messages to learn from")
        return replace(cls._count(rows), temperature=_fit_temperature(list(cls._held_out(rows))))

    def classify(self, text: str) -> Classification:
        """Finds the category that a message most likely belongs to."""
        features = _features(text)
        probabilities = self._probabilities(features)
        best = probabilities.index(max(probabilities))
        gains: defaultdict[str, float] = defaultdict(float)
        for feature, word in features.items():
            if lifts := self.lifts.get(feature):
                gains[word] += lifts[best] - sum(lifts) / len(lifts)  # "the" lifts all categories alike
        strongest = sorted((word for word in gains if word and gains[word] > 0), key=lambda word: -gains[word])
        return Classification(
            category=self.categories[best],
            probability=probabilities[best],
            evidence=tuple(strongest[:3]),
        )

    def probabilities(self, text: str) -> dict[str, float]:
        """Gives the probability of every category; they sum to one."""
        return dict(zip(self.categories, self._probabilities(_features(text)), strict=True))

    @classmethod
    def _count(cls, rows: list[_Row]) -> "Model":
        """Estimates everything but the temperature."""
        by_category: defaultdict[str, list[_Features]] = defaultdict(list)
        for features, category in rows:
            by_category[category].append(features)
        categories = tuple(sorted(by_category))
        counts = [Counter(chain.from_iterable(by_category[category])) for category in categories]
        spread = Counter(chain.from_iterable(counts))  # in how many categories each feature was seen
        seen = Counter(chain.from_iterable(count.values() for count in counts))
        # A half and a one keep d between 0 and 1 where there is next to nothing to count.
        discount = (seen[1] + 0.5) / (seen[1] + 2 * seen[2] + 1)
        unseen = [math.log(discount * len(count) / count.total()) for count in counts]
        lifts: defaultdict[str, list[float]] = defaultdict(unseen.copy)
        for number, count in enumerate(counts):
            scale = spread.total() / (discount * len(count))
            for feature, times in count.items():
                lifts[feature][number] += math.log1p((times - discount) * scale / spread[feature])
        return cls(
            categories=categories,
            log_shares=tuple(math.log(len(by_category[category]) / len(rows)) for category in categories),
            lifts=dict(lifts),
        )

    @classmethod
    def _held_out(cls, rows: list[_Row]) -> Iterator[_Scored]:
        """Scores messages by models that have not seen them."""
        dealt: Counter[str] = Counter()
        folds: list[list[_Row]] = [[] for _ in range(_FOLDS)]
        for features, category in rows:  # dealt out by category: each fold gets its share of each
            folds[dealt[category] % _FOLDS].append((features, category))
            dealt[category] += 1
        step = math.ceil(len(rows) / _HELD_OUT_MESSAGES)
        for fold in folds:
            others = [row for other in folds if other is not fold for row in other]
            model = cls._count(others) if others else None
            for features, category in fold[::step]:
                if model and category in model.categories:
                    yield model.log_shares, model._scores(features), model.categories.index(category)

    def _scores(self, features: _Features) -> list[float]:
        """Gives score(c) / sqrt(|F|) by category. Features that training never saw say nothing."""
        known = [self.lifts[feature] for feature in features if feature in self.lifts]
        if not known:
            return [0.0] * len(self.categories)
        length = math.sqrt(len(known))
        return [sum(lifts) / length for lifts in zip(*known, strict=True)]

    def _probabilities(self, features: _Features) -> list[float]:
        return _softmax(self.log_shares, self._scores(features), 1 / self.temperature)


def _features(text: str) -> _Features:
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'"))
    features: _Features = {}
    for word in words:
        run = f" {word} "
        features[word] = word
        for start in range(max(len(word) - 1, 1)):
            features.setdefault("#" + run[start : start + _RUN_LENGTH], word)
    for pair in zip(["", *words], [*words, ""], strict=True):  # the ends are neighbours too
        features.setdefault(" ".join(pair), max(pair, key=len))  # the longer word is the telling one
    return features


def _softmax(log_shares: Sequence[float], scores: list[float], sharpness: float) -> list[float]:
    logits = [share + score * sharpness for share, score in zip(log_shares, scores, strict=True)]
    highest = max(logits)
    odds = [math.exp(logit - highest) for logit in logits]
    total = sum(odds)
    return [value / total for value in odds]


def _fit_temperature(held_out: list[_Scored]) -> float:
    """Finds the temperature that makes the true categories of held-out messages most likely.

    Their log-likelihood is concave in 1/T, and its slope is the sum of score(truth) - expected score, so
    halving an interval finds the top. With nothing held out T stays at its highest: sure of nothing.
    """
    low, high = 1 / 64, 64.0
    for _ in range(14):
        sharpness = math.sqrt(low * high)
        slope = 0.0
        for log_shares, scores, truth in held_out:
            shares = _softmax(log_shares, scores, sharpness)
            slope += scores[truth] - sum(map(operator.mul, shares, scores))
        low, high = (sharpness, high) if slope > 0 else (low, sharpness)
    return 1 / low

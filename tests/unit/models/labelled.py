"""The labelled texts of labelled.txt, and how well something finds what is labelled in them."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

# A kind of thing, and where it starts and ends.
Label = tuple[str, int, int]
_MARKED = re.compile(r"\[\[([a-z_]+):(.*?)\]\]")


class Labelled(NamedTuple):
    text: str
    labels: frozenset[Label]


class Score(NamedTuple):
    found: int
    missed: int
    wrong: int

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.wrong) if self.found + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.found / (self.found + self.missed) if self.found + self.missed else 1.0


def labelled() -> list[Labelled]:
    lines = Path(__file__).with_name("labelled.txt").read_text(encoding="utf-8").splitlines()
    return [_read(line) for line in lines if not line.startswith("# ")]


def scores(kinds: Iterable[str], find: Callable[[str, str], Iterable[tuple[int, int]]]) -> dict[str, Score]:
    """By kind, how well `find(kind, text)` finds it: what it finds counts as found where it overlaps a label."""
    found: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for kind in kinds:
        for text, labels in labelled():
            places = list(find(kind, text))
            wanted = [label for label in labels if label[0] == kind]
            hit = sum(any(start < label[2] and label[1] < end for start, end in places) for label in wanted)
            found[kind] += hit
            missed[kind] += len(wanted) - hit
            wrong[kind] += sum(not any(s < label[2] and label[1] < e for label in wanted) for s, e in places)
    return {kind: Score(found[kind], missed[kind], wrong[kind]) for kind in kinds}


def _read(line: str) -> Labelled:
    text, labels, end = "", set(), 0
    for mark in _MARKED.finditer(line):
        text += line[end : mark.start()]
        labels.add((mark[1], len(text), len(text) + len(mark[2])))
        text += mark[2]
        end = mark.end()
    return Labelled(text + line[end:], frozenset(labels))

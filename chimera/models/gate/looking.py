"""Looking for what rules are about in the parts of a record."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain, islice

from chimera.models.text.allowance import Allowance, UsedUp
from chimera.models.text.disguises import ENCODED_SIGN, HUMP_SIGN, apart, decoded
from chimera.models.text.engine import Expression, any_of, standing
from chimera.models.text.finders import Finder, Keywords, Pattern, Place
from chimera.models.text.folding import Folded, View, fold
from chimera.models.text.joined import JoinedTexts, joined
from chimera.models.work.decision import Span

# At most this many places of one rule in one result are recorded: a reviewer needs no more, and entries stay small.
MOST_SPANS = 100


class Glance:
    """One pass over all texts of a record, which tells that nothing can be found in them, as is the rule."""

    def __init__(self, lookings: Sequence["Looking"]) -> None:
        self._parts = [part for looking in lookings for part in looking.parts]
        signs = [looking.signs for looking in lookings]
        # Signs that several have count once; where one has none, each text has to be looked at.
        self._any = any_of(dict.fromkeys(chain.from_iterable(signs))) if all(signs) else None

    def may_find(self, record: Mapping[str, object], allowance: Allowance) -> bool:
        """Whether there may be anything to be found.

        Raises:
            UsedUp: there is more text than is looked at.
        """
        text = joined(record, self._parts)
        allowance.read(len(text))
        return self._any is None or _match(self._any, fold(text).encode())


class Looking:
    """Finders that look at the same parts of a record, by the names of their rules."""

    def __init__(self, parts: Sequence[str], finders: Sequence[tuple[str, Finder]]) -> None:
        self.parts = tuple(parts)
        self._patterns = [(name, finder) for name, finder in finders if isinstance(finder, Pattern)]
        self._others = [(name, each, any_of(each.signs)) for name, each in finders if not isinstance(each, Pattern)]
        self._words = [each for each in self._others if isinstance(each[1], Keywords)]
        # Of which one matches wherever anything is found, whatever the disguise; none where nothing can tell.
        self.signs = [] if self._patterns else [ENCODED_SIGN, HUMP_SIGN]
        self.signs += [] if self._patterns else [sign for _, finder, _ in self._others for sign in finder.signs]

    @cached_property
    def _plain(self) -> tuple[Expression, ...]:
        return any_of([sign for _, finder, _ in self._others for sign in finder.signs])

    @cached_property
    def _plain_words(self) -> tuple[Expression, ...]:
        return any_of([sign for _, finder, _ in self._words for sign in finder.signs])

    def into(self, spans: dict[str, list[Span]], record: Mapping[str, object], allowance: Allowance) -> None:
        """Adds where rules fire, by their names.

        Raises:
            UsedUp: it took too long, or there is more to be decoded than is looked at.
        """
        text = joined(record, self.parts)
        whole = Folded(text)
        texts = JoinedTexts(record, self.parts)
        places: dict[str, set[Place]] = {}
        try:
            self._look(places, texts, whole, allowance)
        finally:
            for name, of_rule in places.items():
                if told := [*islice((span for place in sorted(of_rule) for span in texts.spans(place)), MOST_SPANS)]:
                    spans.setdefault(name, []).extend(told)

    def _look(self, places: dict[str, set[Place]], texts: JoinedTexts, whole: Folded, allowance: Allowance) -> None:
        for name, pattern in self._patterns:
            for start, text in texts.each():
                found = pattern.find(Folded(text), allowance.of(name))
                if len(_add(places, name, ((start + first, start + last) for first, last in found))) >= MOST_SPANS:
                    break
        self._look_at(places, whole, allowance)
        if standing(ENCODED_SIGN).search(whole.data) is None:
            return
        with _others_go_on():
            for view in decoded(whole, allowance.of("decoding")):
                for name, pattern in self._patterns:
                    _add(places, name, pattern.find(view, allowance.of(name)))
                self._look_at(places, view, allowance)

    def _look_at(self, places: dict[str, set[Place]], view: View, allowance: Allowance) -> None:
        """Looks at all texts as one, as they are and with words taken apart."""
        if _match(self._plain, view.data):
            _look_for(self._others, places, view, allowance)
        if self._words and standing(HUMP_SIGN).search(view.data) is not None:
            with _others_go_on():
                spaced = apart(view, allowance.of("words apart"))
                if _match(self._plain_words, spaced.data):
                    _look_for(self._words, places, spaced, allowance)


def _look_for(
    rules: "list[tuple[str, Finder, tuple[Expression, ...]]]",
    places: dict[str, set[Place]],
    view: View,
    allowance: Allowance,
) -> None:
    for name, finder, signs in rules:
        if len(places.get(name, ())) < MOST_SPANS and _match(signs, view.data):
            _add(places, name, finder.find(view, allowance.of(name)))
            allowance.check_clock()


def _add(places: dict[str, set[Place]], name: str, found: Iterable[Place]) -> set[Place]:
    """Adds places of a rule; of more than are told, the first."""
    known = places.setdefault(name, set())
    with _others_go_on():
        for place in islice(found, MOST_SPANS):
            known.add(place)
    return known


@contextmanager
def _others_go_on() -> Iterator[None]:
    """Where one rule may look no more, the others still do."""
    try:
        yield
    except UsedUp as exc:
        if not exc.of_one:
            raise


def _match(expressions: tuple[Expression, ...], data: bytes) -> bool:
    for expression in expressions:  # noqa: SIM110  any() takes a microsecond more, which is much here
        if expression.search(data) is not None:
            return True
    return False

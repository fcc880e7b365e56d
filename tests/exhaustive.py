"""What is exhaustive runs whole with `--all`, and is a sample without it: always the same one, or that of `--sample N`.

A parametrized test says so by `@pytest.mark.exhaustive(keep=...)`, one that goes through its cases by itself by the
fixture `some`. Of a property Hypothesis tries a hundred examples with `--all`, others each time, and a quarter without.
`--all -m exhaustive` runs these tests and no others.
"""

import random
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol, TypeVar

import pytest
from hypothesis import settings

SAMPLE = 20261127

T = TypeVar("T")


class Some(Protocol):
    """Chooses among a test's cases, in their order: all of them with `--all`."""

    def __call__(self, cases: Sequence[T], keep: int) -> list[T]: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chimera")
    group.addoption("--all", action="store_true", help="run all of what is exhaustive")
    group.addoption("--sample", type=int, default=SAMPLE, metavar="N", help=f"run another sample of it than {SAMPLE}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "exhaustive(keep=None): this number of its cases runs without --all")
    # No folder of earlier examples: a failure prints what makes it again.
    settings.register_profile("all", database=None, deadline=None, max_examples=100)
    is_fixed = config.getoption("--sample") == SAMPLE
    settings.register_profile("sample", settings.get_profile("all"), max_examples=25, derandomize=is_fixed)
    settings.load_profile("all" if config.getoption("--all") else "sample")


def pytest_report_header(config: pytest.Config) -> str:
    if config.getoption("--all"):
        return "exhaustive tests: all of them"
    return f"exhaustive tests: --sample {config.getoption('--sample')} of them; --all runs all"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks what says so otherwise: by asking for `some` of its cases, or by being a property."""
    if "some" in getattr(item, "fixturenames", ()) or getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker(pytest.mark.exhaustive)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves a sample of those tests that are marked; after what -k and -m have left."""
    kept: list[pytest.Item] = []
    for test, cases in groupby(items, lambda item: item.nodeid.partition("[")[0]):
        of_one = list(cases)
        marker = of_one[0].get_closest_marker("exhaustive")
        keep = marker.kwargs.get("keep") if marker else None
        kept += of_one if keep is None else chosen(config, test, of_one, keep)
    left = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in left])
    items[:] = kept


@pytest.fixture
def some(request: pytest.FixtureRequest) -> Some:
    def choose(cases: Sequence[T], keep: int) -> list[T]:
        return chosen(request.config, request.node.nodeid, cases, keep)

    return choose


def chosen(config: pytest.Config, test: str, cases: Sequence[T], keep: int) -> list[T]:
    if config.getoption("--all") or len(cases) <= keep:
        return list(cases)
    places = random.Random(f"{config.getoption('--sample')} {test}").sample(range(len(cases)), keep)
    return [cases[place] for place in sorted(places)]

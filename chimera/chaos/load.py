"""The plans of a run, drawn from its seed: plan number n is the same in every run of that seed."""

import math
from random import Random

from chimera.chaos.skills import Step
from chimera.models.record import Record

TENANTS = ("ash", "birch", "cedar", "dogwood")
LARGEST_PLAN = 200
_KEYS = 6


class PlanDraw(Record):
    """A plan, before it is submitted."""

    key: str  # names it in journals, and is its idempotency key
    tenant_id: str
    priority: int
    steps: tuple[Step, ...]
    # Seconds after it was submitted; None: it is left alone, has no deadline.
    cancel_after: float | None
    deadline_after: float | None
    # Until the next plan is submitted.
    pause_seconds: float


def draw_plan(seed: int, number: int, plans_per_second: float) -> PlanDraw:
    """Plan number `number` of the run with this seed."""
    random = Random(f"{seed}:plan:{number}")  # noqa: S311  drawn to be repeatable
    size = max(1, round(math.exp(random.uniform(0, math.log(LARGEST_PLAN)))))
    steps = [_step(random, place) for place in range(size)]
    fate = random.random()
    return PlanDraw(
        key=f"plan-{seed}-{number}",
        tenant_id=random.choice(TENANTS),
        priority=random.choice((50, 50, 50, 10, 90)),
        steps=tuple(steps),
        cancel_after=random.uniform(0.1, 4.0) if fate < 0.06 else None,
        deadline_after=random.uniform(2.0, 8.0) if fate > 0.96 else None,
        pause_seconds=random.expovariate(plans_per_second),
    )


def approves(seed: int, nonce: str) -> bool:
    """Whether the person of this run approves what came of a task."""
    return Random(f"{seed}:person:{nonce}").random() < 0.7  # noqa: S311


def _step(random: Random, place: int) -> Step:
    # 2 of 100 slow ones of half a second keep about half of four agents busy at 100 tasks a second.
    do = random.choices(("quick", "slow", "flaky", "unsure", "keyed"), (88, 2, 4, 3, 3))[0]
    first = place == 0 and random.random() < 0.5
    do = "slow" if first else do
    seconds = round(math.exp(random.uniform(math.log(0.1), math.log(2.0))), 3) if do == "slow" else 0.0
    after = random.randrange(place) if place and random.random() < 0.02 else None
    key = f"key-{random.randrange(_KEYS)}" if do == "keyed" else None
    return Step(do=do, seconds=seconds, after=after, key=key)

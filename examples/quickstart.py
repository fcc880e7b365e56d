"""Greets people: a skill, a planner, and, run as a program beside `chimera up`, a plan of them."""

from collections.abc import Iterator

from chimera import Chimera, Success, TaskSpec, planner, skill


@skill(max_batch=50)
def greet(name: str) -> Success[str]:
    return Success(f"Hello {name}!", confidence=0.95 if name.isalpha() else 0.4)


@planner
def greetings(names: list[str]) -> Iterator[TaskSpec]:
    for name in names:
        yield greet.task(name)


if __name__ == "__main__":
    names = {"names": ["Ada", "Grace", "R2-D2"]}
    plan = Chimera().submit(greetings, tenant="acme", inputs=names, idempotency_key="greet-1")
    for event in plan.events():
        print(event)
    print(plan.status, [result.output for result in plan.results() if result.committed])
    print([str(reason) for card in plan.reviews() for reason in card.reasons])

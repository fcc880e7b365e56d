"""The floor under tenants' policies: what the operator's policy asks of each at least. Pure."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from chimera.errors import BelowFloor
from chimera.models.gate.policy import Bands, Floor, Policy, PolicyInForce, SkillPolicy
from chimera.models.gate.rules import Rule
from chimera.models.gate.weakening import weaker_rule

Path = tuple[str | int, ...]


class Fault(NamedTuple):
    """Where a policy is below the floor, and how."""

    path: Path  # as in the file: ("rules", 3, "then")
    message: str


def below(policy: Policy, operators: Policy, tenant_id: str | None) -> list[Fault]:
    """What of a policy is below the floor of the operator's; empty where that has none.

    Args:
        policy: a tenant's, or the operator's itself.
        operators: the one with the floor.
        tenant_id: whose policy it is; None for the operator's own.
    """
    floor = operators.floor
    if floor is None:
        return []
    faults = [*_below_in_skills(policy, floor), *_below_in_rules(policy, operators, floor)]
    if tenant_id in floor.people:
        faults += [
            Fault(path, f"people see everything of {tenant_id}: it must be 1")
            for path, asked in _places(policy)
            if asked.sample != 1
        ]
    return faults


def require_above(policy: Policy, operators: Policy, tenant_id: str | None) -> None:
    """Sees that a policy is not below the floor of the operator's.

    Raises:
        BelowFloor: it is; the message has a line for each fault.
    """
    if faults := below(policy, operators, tenant_id):
        raise BelowFloor("\n".join(f"{'.'.join(map(str, fault.path))}: {fault.message}" for fault in faults))


def raised(found: PolicyInForce, default: PolicyInForce, tenant_id: str) -> PolicyInForce:
    """What applies to a tenant, raised to the floor of the default: never below it, and else what it says."""
    floor = default.policy.floor
    if floor is None:
        return found
    if floor.isolates(tenant_id):
        found = found.model_copy(update={"isolated": True})
    if not (found.own or tenant_id in floor.people):
        return found
    update: dict[str, Any] = {"policy": raised_policy(found.policy, default.policy, tenant_id), "applied": found.policy}
    # A default names its floor itself.
    return found.model_copy(update=update | ({"floor": default.version} if found.own else {}))


def raised_policy(policy: Policy, operators: Policy, tenant_id: str) -> Policy:
    """The policy, with what is below the operator's floor raised to it."""
    floor = operators.floor
    if floor is None:
        return policy
    people = tenant_id in floor.people
    update = {
        "defaults": _raised_skill(policy.defaults.over(SkillPolicy(confidence=Bands())), floor, people=people),
        "skills": {name: _raised_skill(policy.of_skill(name), floor, people=people) for name in policy.skills},
        "rules": _raised_rules(policy, operators, floor),
    }
    raised = policy.model_copy(update=update)
    # By what is stored it is the tenant's: the version names the floor besides.
    raised.__dict__["body"] = policy.body
    return raised


# Below the floor.


def _places(policy: Policy) -> Iterator[tuple[Path, SkillPolicy]]:
    """What is asked of each skill that the policy names and of all others, with its place."""
    yield ("defaults", "sample"), policy.defaults
    for name in policy.skills:
        yield ("skills", name, "sample"), policy.of_skill(name)


def _below_in_skills(policy: Policy, floor: Floor) -> Iterator[Fault]:
    for (*place, _), asked in _places(policy):
        bands = asked.confidence or Bands()
        if floor.approve is not None and bands.approve < floor.approve:
            yield Fault((*place, "confidence", "approve"), f"{bands.approve} is below the floor, {floor.approve}")
        if floor.quorum is not None and (asked.quorum or 1) < floor.quorum:
            yield Fault((*place, "quorum"), f"{asked.quorum or 1} is below the floor, {floor.quorum}")
        if floor.sample is not None and (asked.sample or 0) < floor.sample:
            yield Fault((*place, "sample"), f"{asked.sample or 0} is below the floor, {floor.sample}")


def _below_in_rules(policy: Policy, operators: Policy, floor: Floor) -> Iterator[Fault]:
    own = {rule.name: (number, rule) for number, rule in enumerate(policy.rules)}
    for rule in operators.rules:
        if rule.name not in floor.rules:
            continue
        if rule.name not in own:
            yield Fault(("rules",), f"{rule.name} is missing, which the floor asks of everybody")
            continue
        number, found = own[rule.name]
        yield from (Fault(("rules", number, *path), said) for path, said in weaker_rule(rule, found))


# Raised to the floor.


def _raised_skill(asked: SkillPolicy, floor: Floor, *, people: bool) -> SkillPolicy:
    bands = asked.confidence or Bands()
    sample = 1.0 if people else max(asked.sample or 0.0, floor.sample or 0.0)
    update: dict[str, Any] = {
        "confidence": bands.model_copy(update={"approve": max(bands.approve, floor.approve or 0.0)}),
        "quorum": max(asked.quorum or 1, floor.quorum or 1) if floor.quorum or asked.quorum else None,
        "sample": sample or asked.sample,
    }
    return asked.model_copy(update=update)


def _raised_rules(policy: Policy, operators: Policy, floor: Floor) -> tuple[Rule, ...]:
    """The tenant's rules; one of the floor that it dropped or weakened is the operator's, the tenant's beside it."""
    needed = {rule.name: rule for rule in operators.rules if rule.name in floor.rules}
    names = {rule.name for rule in policy.rules} | set(needed)
    rules = []
    for rule in policy.rules:
        operators_rule = needed.get(rule.name)
        if operators_rule is None or not [*weaker_rule(operators_rule, rule)]:
            needed.pop(rule.name, None)
            rules.append(rule)
            continue
        name = next(name for n in range(len(names) + 1) if (name := f"{rule.name[:90]}.own{n or ''}") not in names)
        rules.append(rule.model_copy(update={"name": name}))
    return (*needed.values(), *rules)

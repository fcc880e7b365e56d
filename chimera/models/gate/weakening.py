"""What a policy asks less of than another, and what is on record of it when it is applied. Pure."""

from collections.abc import Callable, Iterator
from decimal import Decimal

from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.policy import Amount, Bands, Budget, Floor, Policy, PolicyInForce, SkillPolicy
from chimera.models.gate.rules import Rule
from chimera.models.record import canonical_json

# So many things that a policy asks less of are on record one by one.
_MOST_LINES = 100
# Skills that neither policy names.
_OTHERS = "defaults"
# Of a model that is asked: how long it may take changes no verdict.
_PATIENCE = {"timeout_seconds"}
# Of a rule: what is looked at part by part.
_COMPARED = {"name", "then", "within", "skills", "keywords"}


def weakened(before: Policy, after: Policy) -> tuple[str, ...]:
    """What a policy asks less of than the one before, a line each: `defaults.confidence.approve: 0.9, was 0.95`."""
    return (
        *(line for name in _skills(before, after) for line in _weaker_skill(name, before, after)),
        *_weaker_rules(before, after),
        *_weaker_budget(before.budget or Budget(), after.budget or Budget()),
        *_weaker_model(before, after),
        *_weaker_floor(before, after),
    )


def applied_event(before: PolicyInForce, now: PolicyInForce, policy: Policy, actor: str) -> AuditEvent:
    """That a policy was applied, for the record of a tenant: what is in force for it, and what that asks less of."""
    given_up = weakened(before.policy, now.policy)
    if before.isolated and not now.isolated:
        given_up = ("floor.isolated: no longer of this tenant", *given_up)
    more = [f"and {len(given_up) - _MOST_LINES} more"] if len(given_up) > _MOST_LINES else []
    facts = {
        "before": before.version,
        "version": now.version,
        "own": now.own,
        "sha256": policy.sha256.hex(),
        "weakened": [*given_up[:_MOST_LINES], *more],
    }
    return AuditEvent(kind=AuditKind.POLICY_APPLIED, actor=actor, facts=facts)


def _skills(before: Policy, after: Policy) -> list[str]:
    return [*sorted({*before.skills, *after.skills}), _OTHERS]


def _asked(policy: Policy, name: str) -> SkillPolicy:
    """What is asked of a skill; of one that no policy can name where it is about all others."""
    return policy.of_skill("" if name == _OTHERS else name)


def _weaker_skill(name: str, before: Policy, after: Policy) -> Iterator[str]:
    place = name if name == _OTHERS else f"skills.{name}"
    was, now = _asked(before, name), _asked(after, name)
    yield from (f"{place}.{line}" for line in _weaker_bands(was.confidence or Bands(), now.confidence or Bands()))
    yield from (f"{place}.{line}" for line in _weaker_limits(was, now))


def _weaker_bands(was: Bands, now: Bands) -> Iterator[str]:
    for field in ("approve", "hitl"):
        if getattr(now, field) < getattr(was, field):
            yield _line(f"confidence.{field}", getattr(now, field), getattr(was, field))
    # A confidence below `hitl` is denied where there is no band for another try.
    if (now.hitl if now.retry is None else now.retry) < (was.hitl if was.retry is None else was.retry):
        yield _line("confidence.retry", now.retry, was.retry)


def _weaker_limits(was: SkillPolicy, now: SkillPolicy) -> Iterator[str]:
    if (now.sample or 0) < (was.sample or 0):
        yield _line("sample", now.sample, was.sample)
    if (now.quorum or 1) < (was.quorum or 1):
        yield _line("quorum", now.quorum, was.quorum)
    if was.output_schema is not None and canonical_json(now.output_schema) != canonical_json(was.output_schema):
        yield f"output_schema: {'another' if now.output_schema is not None else 'none'}, was given"
    if _above(now.max_result_bytes, was.max_result_bytes):
        yield _line("max_result_bytes", now.max_result_bytes, was.max_result_bytes)
    for name in ("cost_usd", "tokens"):
        limit, earlier = getattr(now.max_usage or Amount(), name), getattr(was.max_usage or Amount(), name)
        if _above(limit, earlier):
            yield _line(f"max_usage.{name}", limit, earlier)
    for name in ("tools", "effects"):
        allowed, earlier = getattr(now, name), getattr(was, name)
        if earlier is not None and (allowed is None or set(allowed) - set(earlier)):
            more = "anything" if allowed is None else ", ".join(sorted(set(allowed) - set(earlier)))
            yield f"{name}: allows {more} as well"


def _weaker_rules(before: Policy, after: Policy) -> Iterator[str]:
    now = {rule.name: rule for rule in after.rules}
    for rule in before.rules:
        if rule.name not in now:
            yield f"rules.{rule.name}: dropped"
            continue
        for path, said in weaker_rule(rule, now[rule.name]):
            yield f"rules.{'.'.join([rule.name, *path])}: {said}"


def weaker_rule(was: Rule, now: Rule) -> Iterator[tuple[tuple[str, ...], str]]:
    """In what a rule of the same name finds less, or leads to less."""
    if now.then.strength < was.then.strength:
        yield ("then",), f"{now.then}, and {was.then} is asked"
    if missing := [part for part in was.within if part not in now.within]:
        yield ("within",), f"leaves out {', '.join(missing)}"
    if now.skills is not None and (was.skills is None or set(was.skills) - set(now.skills)):
        yield ("skills",), "leaves out skills"
    if was.model_dump(exclude=_COMPARED) != now.model_dump(exclude=_COMPARED):
        yield (), "looks for something else"
    elif was.keywords is not None and (lost := set(was.keywords) - set(now.keywords or ())):
        yield ("keywords",), f"leaves out {len(lost)}"


def _weaker_budget(was: Budget, now: Budget) -> Iterator[str]:
    for account in ("day", "plan", "task"):
        limit, earlier = getattr(now, account) or Amount(), getattr(was, account) or Amount()
        for name in ("cost_usd", "tokens"):
            if _above(getattr(limit, name), getattr(earlier, name)):
                yield _line(f"budget.{account}.{name}", getattr(limit, name), getattr(earlier, name))


def _weaker_model(before: Policy, after: Policy) -> Iterator[str]:
    """A model can only lower verdicts: one that is asked no more, or otherwise, may let more pass."""
    was, now = before.llm_judge, after.llm_judge
    if was is not None and (now is None or now.model_dump(exclude=_PATIENCE) != was.model_dump(exclude=_PATIENCE)):
        yield f"llm_judge: {'another' if now else 'none'}, was {was.model}"


def _weaker_floor(before: Policy, after: Policy) -> Iterator[str]:
    was, now = before.floor, after.floor or Floor()
    if was is None:
        return
    least: dict[str, Callable[[Floor], float]] = {
        "approve": lambda floor: floor.approve or 0,
        "quorum": lambda floor: floor.quorum or 1,
        "sample": lambda floor: floor.sample or 0,
    }
    for name, of in least.items():
        if of(now) < of(was):
            yield _line(f"floor.{name}", getattr(now, name), getattr(was, name))
    for name in ("rules", "people"):
        if lost := sorted(set(getattr(was, name)) - set(getattr(now, name))):
            yield f"floor.{name}: without {', '.join(lost)}"
    if now.isolated != "*" and (was.isolated == "*" or set(was.isolated) - set(now.isolated)):
        yield _line("floor.isolated", *(_listed(floor.isolated) for floor in (now, was)))


def _above(limit: Decimal | int | None, other: Decimal | int | None) -> bool:
    """Whether a limit, None is none, lets more pass than the other."""
    return other is not None and (limit is None or limit > other)


def _line(place: str, now: object, was: object) -> str:
    return f"{place}: {_said(now)}, was {_said(was)}"


def _listed(names: str | tuple[str, ...]) -> str | None:
    return names if isinstance(names, str) else ", ".join(names) or None


def _said(value: object) -> str:
    return "none" if value is None else str(value)

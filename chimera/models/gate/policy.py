"""A policy: what the gate asks of a tenant's results, as data that people write, version and answer for."""

from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal
from uuid import UUID

import jsonschema_rs
from pydantic import Field, StringConstraints, field_validator, model_validator

from chimera.models.gate.rules import DEFAULT_RULES, Rule, TextRules
from chimera.models.record import Record, TenantId, Text, canonical_json, sha256
from chimera.models.work.json_schema import UnusableSchema, compiled

PolicyName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Dollars = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9)]
Tokens = Annotated[int, Field(ge=0)]

# As often as this a result may be sent back with the reasons, whatever a policy says.
MAX_REPLANS = 5


class Bands(Record):
    """What a confidence leads to: at or above `approve` nothing; then, going down, a person, another try, a denial."""

    approve: Share = 0.70
    # At or above this, and below `approve`: a person decides.
    hitl: Share = 0.0
    # At or above this, and below `hitl`: tried again with the reason. None: no such band. Below all: denied.
    retry: Share | None = None

    @model_validator(mode="after")
    def _descend(self) -> "Bands":
        steps = [self.approve, self.hitl, *([] if self.retry is None else [self.retry])]
        if steps != sorted(steps, reverse=True):
            raise ValueError("approve must not be below hitl, nor hitl below retry")
        return self


class Amount(Record):
    """Money and tokens; None is not limited, and for a reservation nothing."""

    cost_usd: Dollars | None = None
    tokens: Tokens | None = None


class SkillPolicy(Record):
    """What is asked of the results of one skill; None is what `defaults` says."""

    confidence: Bands | None = None
    # A random share of what would be approved that goes to a person all the same.
    sample: Share | None = None
    # This number of different people must approve a card before its result is committed.
    quorum: int | None = Field(default=None, ge=1, le=9)
    # JSON Schema (2020-12) of the output, beside the one that the skill declares itself.
    output_schema: dict[str, Any] | None = None
    # Of the result as it is stored, JSON: output, reasoning, evidence.
    max_result_bytes: int | None = Field(default=None, ge=1)
    # What one attempt may have cost.
    max_usage: Amount | None = None
    # What a result may say that it used, and that it is going to do; None is not asked. Anything else is denied.
    tools: tuple[Text, ...] | None = None
    effects: tuple[Text, ...] | None = None
    # Set aside for an attempt before it is dispatched, where the tenant has a budget.
    reserve: Amount | None = None
    # The skill that its tasks run instead when the budget's limit is reached and `at_limit` is degrade.
    degrade_to: Text | None = None

    @field_validator("output_schema")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            try:
                _validator(schema)
            except UnusableSchema as exc:
                raise ValueError(f"no JSON Schema that can be used: {exc}") from None
        return schema

    def over(self, defaults: "SkillPolicy") -> "SkillPolicy":
        """This, with what it does not say taken from `defaults`."""
        said = {name: getattr(self, name) for name in self.model_fields_set if getattr(self, name) is not None}
        return defaults.model_copy(update=said)


class AtLimit(StrEnum):
    """What becomes of tasks that a budget has nothing left for."""

    STOP = "stop"  # they are denied
    HITL = "hitl"  # their plan is paused until a person resumes it
    DEGRADE = "degrade"  # they run the skill that `degrade_to` names; where that does not fit either: stop


class Budget(Record):
    """What may be reserved and spent together; a limit of None is none."""

    day: Amount | None = None  # the tenant's, from midnight UTC
    plan: Amount | None = None
    task: Amount | None = None  # all attempts of it
    at_limit: AtLimit = AtLimit.STOP

    def limit_of(self, plan_id: UUID | None) -> Amount | None:
        """The limit of a plan; without one, that of the day."""
        return self.day if plan_id is None else self.plan


class LlmJudge(Record):
    """A model that is asked about what the rules would approve. It can only lower a verdict."""

    model: Text = Field(min_length=1)  # an alias of the deployment's configuration
    instructions: Text = Field(min_length=1)
    skills: tuple[Text, ...] | None = None  # None: all
    timeout_seconds: float = Field(default=20.0, gt=0, le=120)


class Floor(Record):
    """What the policies of all tenants must ask at least; the operator's policy, the default of all, says it."""

    # The lowest confidence from which a policy may approve.
    approve: Share | None = None
    # Rules of the operator's policy, by name, that no policy may drop or weaken.
    rules: tuple[Text, ...] = ()
    # The smallest share that goes to a person all the same, and the fewest people who must approve a card.
    sample: Share | None = None
    quorum: int | None = Field(default=None, ge=1, le=9)
    # Tenants of whose results nothing is approved without a person.
    people: tuple[TenantId, ...] = ()
    # Tenants, or all, whose skills and planners run at level host or by the tenant's own login, and nowhere else.
    isolated: Literal["*"] | tuple[TenantId, ...] = ()

    def isolates(self, tenant_id: str) -> bool:
        """Whether it is said of this tenant."""
        return self.isolated == "*" or tenant_id in self.isolated


class Expected(StrEnum):
    """How a case of a policy is to be ruled."""

    APPROVE = "approve"
    HITL = "hitl"
    RETRY = "retry"
    DENY = "deny"


class Case(Record):
    """One of a policy's own tests."""

    name: Text = Field(min_length=1)
    skill: Text = "any"
    input: dict[str, Any] = Field(default_factory=dict)
    output: Any = None
    # Anything may be claimed to be a confidence; what is no number is what the gate has to deal with.
    confidence: Any = 1.0
    reasoning: Text | None = None
    evidence: tuple[Text, ...] = ()
    tools: tuple[Text, ...] = ()
    effects: tuple[Text, ...] = ()
    cost_usd: Dollars = Decimal(0)
    tokens: Tokens = 0
    expect: Expected
    # Rules that must be among the reasons.
    rules: tuple[Text, ...] = ()


class Policy(Record):
    """What the gate asks of a tenant's results."""

    name: PolicyName = "default"
    description: Text = ""
    defaults: SkillPolicy = SkillPolicy()
    skills: dict[str, SkillPolicy] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = DEFAULT_RULES
    # How often a result may be sent back with the reasons.
    max_replans: int = Field(default=MAX_REPLANS, ge=0, le=MAX_REPLANS)
    llm_judge: LlmJudge | None = None
    budget: Budget | None = None
    # Of the operator's policy alone: what tenants' policies must ask at least.
    floor: Floor | None = None
    cases: tuple[Case, ...] = ()

    @model_validator(mode="after")
    def _floor_is_of_its_rules(self) -> "Policy":
        known = {rule.name for rule in self.rules}
        if self.floor is not None and (unknown := sorted(set(self.floor.rules) - known)):
            raise ValueError(f"floor: rules {', '.join(unknown)} are none of this policy's own")
        return self

    @model_validator(mode="after")
    def _name_once(self) -> "Policy":
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rules: the name {', '.join(twice)} is used twice")
        return self

    def of_skill(self, skill: str) -> SkillPolicy:
        """What is asked of a skill's results, with nothing left to defaults; the confidence bands are never None."""
        if skill not in self._by_skill:
            self._by_skill[skill] = self._merged(skill)
        return self._by_skill[skill]

    def output_fault(self, skill: str, output: Any) -> str | None:
        """Where an output does not fit the policy's schema for the skill, and why, without its text.

        The path within the schema, which the policy's author wrote: `properties.reply.maxLength`.
        """
        schema = self.of_skill(skill).output_schema
        if schema is None:
            return None
        if skill not in self._validators:
            self._validators[skill] = _validator(schema)
        error = next(self._validators[skill].iter_errors(output), None)
        if error is None:
            return None
        return ".".join(str(step) for step in error.schema_path)

    @property
    def skills_named(self) -> set[str]:
        """The skills that something is said of."""
        named = {*self.skills, *(skill for rule in self.rules for skill in rule.skills or ())}
        named |= set(self.llm_judge.skills or ()) if self.llm_judge else set()
        return named | {asked.degrade_to for asked in self.skills.values() if asked.degrade_to}

    @cached_property
    def text_rules(self) -> TextRules:
        """The rules on text, ready to be asked."""
        return TextRules(self.rules)

    @cached_property
    def body(self) -> str:
        """The policy as canonical JSON: what is stored and hashed."""
        return canonical_json(self.model_dump(mode="json"))

    @cached_property
    def sha256(self) -> bytes:
        """SHA-256 of `body`, 32 bytes."""
        return sha256(self.body)

    def version(self, number: int) -> str:
        """Name, number and content hash: `acme@v3+3f9a0c12`."""
        return version_name(self.name, number, self.sha256)

    @cached_property
    def _validators(self) -> dict[str, jsonschema_rs.Draft202012Validator]:
        return {}

    @cached_property
    def _by_skill(self) -> dict[str, SkillPolicy]:
        return {}

    def _merged(self, skill: str) -> SkillPolicy:
        defaults = self.defaults.over(SkillPolicy(confidence=Bands()))
        return self.skills.get(skill, SkillPolicy()).over(defaults)


class PolicyInForce(Record):
    """A policy as it applies to a tenant: where the default has a floor, raised to it."""

    policy: Policy
    number: int = Field(ge=0)  # 0: the one built in
    own: bool  # the tenant's, else the default for all that have none
    # Where a floor applies: the policy as it was applied, and the version of the default whose floor it is.
    applied: Policy | None = None
    floor: str | None = None
    # The default's floor keeps the tenant's skills and planners from processes that hold everybody's logins.
    isolated: bool = False

    @cached_property
    def version(self) -> str:
        """What decisions name: `acme@v3+3f9a0c12`, and with a floor `acme@v3+3f9a0c12^default@v2+8bd1c0aa`."""
        return with_floor(self.policy.version(self.number), self.floor)


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Its patterns run on an engine whose time is linear in the text."""
    return compiled(schema, jsonschema_rs.RegexOptions())


def version_name(name: str, number: int, sha256: bytes) -> str:
    """How decisions name a policy: `acme@v3+3f9a0c12`."""
    return f"{name}@v{number}+{sha256.hex()[:8]}"


def with_floor(version: str, floor: str | None) -> str:
    """How decisions name a policy under the floor of another version."""
    return version if floor is None else f"{version}^{floor}"


def parse_policy(body: str) -> Policy:
    """A policy from its JSON text.

    Raises:
        pydantic.ValidationError: it is none.
    """
    policy = Policy.model_validate_json(body)
    # It is known by the text that was stored, also where a later release would write more keys.
    policy.__dict__["body"] = body
    return policy


# What applies where nobody applied anything.
BUILT_IN = PolicyInForce(policy=Policy(), number=0, own=False)

"""The ports in memory, for the tests of services. tests/contract shows that they behave as the real ones."""

from tests.fakes.agent_registry import FakeAgentRegistry
from tests.fakes.budget_store import FakeBudgetStore
from tests.fakes.card_store import FakeCardStore
from tests.fakes.checkpoints import FakeCheckpointPlace, FakeCheckpointStore
from tests.fakes.clock import FakeClock
from tests.fakes.control_store import FakeControlStore
from tests.fakes.credential_store import FakeCredentialStore
from tests.fakes.database import FakeDatabase
from tests.fakes.decision_store import FakeDecisionStore
from tests.fakes.erasures import FakeErasures
from tests.fakes.export_store import FakeExportStore
from tests.fakes.id_store import FakeIdStore
from tests.fakes.llm import FakeLlm
from tests.fakes.plan_store import FakePlanStore
from tests.fakes.policy_store import FakePolicyStore
from tests.fakes.queue import FakeQueue
from tests.fakes.replan_store import FakeReplanStore
from tests.fakes.review_store import FakeReviewStore
from tests.fakes.session_store import FakeSessionStore
from tests.fakes.skill_store import FakeSkillStore
from tests.fakes.skill_waits import FakeSkillWaits
from tests.fakes.sweep_store import FakeSweepStore
from tests.fakes.task_store import FakeTaskStore
from tests.fakes.verdict_store import FakeVerdictStore
from tests.fakes.wave_store import FakeWaveStore
from tests.fakes.work_store import FakeWorkStore

__all__ = [
    "FakeAgentRegistry",
    "FakeBudgetStore",
    "FakeCardStore",
    "FakeCheckpointPlace",
    "FakeCheckpointStore",
    "FakeClock",
    "FakeControlStore",
    "FakeCredentialStore",
    "FakeDatabase",
    "FakeDecisionStore",
    "FakeErasures",
    "FakeExportStore",
    "FakeIdStore",
    "FakeLlm",
    "FakePlanStore",
    "FakePolicyStore",
    "FakeQueue",
    "FakeReplanStore",
    "FakeReviewStore",
    "FakeSessionStore",
    "FakeSkillStore",
    "FakeSkillWaits",
    "FakeSweepStore",
    "FakeTaskStore",
    "FakeVerdictStore",
    "FakeWaveStore",
    "FakeWorkStore",
]

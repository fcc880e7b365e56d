"""The Judge: gates what a wave has staged, and is the only way into shared state."""

from uuid import UUID

import structlog
from pydantic import ValidationError

from chimera.errors import UnknownSkill
from chimera.failpoints import Failpoint, failpoint
from chimera.models.decision import Decision, Verdict
from chimera.models.gate import Policy, Staged, gate, lease_lost, state_conflict
from chimera.models.result import SuccessOutcome
from chimera.models.skill import Catalogue, describe
from chimera.models.wave import WaveRef
from chimera.ports.clock import Clock
from chimera.ports.decision_store import DecisionStore, LostTask, WaveDecision
from chimera.services.dispatcher import Dispatcher

log = structlog.get_logger(__name__)

DECIDED_BY_POLICY = "policy"


class Judge:
    """Decides by policy; what it may not decide becomes a review card."""

    def __init__(
        self, store: DecisionStore, dispatcher: Dispatcher, catalogue: Catalogue, clock: Clock, policy: Policy
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._catalogue = catalogue
        self._clock = clock
        self._policy = policy
        self._policy_version = policy.version

    def judge_wave(self, wave: WaveRef) -> int:
        """Gates whatever the wave has staged, sends the tenant's next waves, and returns how many were gated.

        May run early, late or twice: it decides only on what waits for a decision.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; nothing was decided, or all was.
        """
        failpoint(Failpoint.JUDGE_RECEIVED, wave.tenant_id)
        waiting = self._store.open_wave(wave)
        decisions = [self._decide(staged) for staged in waiting.staged]
        decisions += [self._give_up(task) for task in waiting.lost]
        failpoint(Failpoint.JUDGE_GATED, wave.tenant_id)
        requeued = self._store.decide_wave(wave, decisions) if decisions else 0
        log.info("wave_judged", decided=len(decisions), requeued=requeued)
        failpoint(Failpoint.JUDGE_DECIDED, wave.tenant_id)
        self._dispatcher.dispatch(wave.tenant_id)
        failpoint(Failpoint.JUDGE_DISPATCHED, wave.tenant_id)
        return len(decisions)

    def stop_plan(self, tenant_id: str, plan_id: UUID) -> None:
        """Ends every open task and card of a plan that was cancelled or has expired.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; asked again, it goes on.
        """
        for wave in self._store.open_waves(tenant_id, plan_id):
            self._store.stop_wave(wave, self._policy_version)
            failpoint(Failpoint.STOP_WAVE_CLOSED, tenant_id)
        self._dispatcher.dispatch(tenant_id)

    def _decide(self, staged: Staged) -> WaveDecision:
        ruling = gate(staged, self._policy, self._output_fault(staged))
        asks = ruling.verdict is Verdict.HITL
        commits_state = ruling.verdict is Verdict.APPROVE and staged.state_key is not None
        return WaveDecision(
            decision=Decision(
                task_id=staged.task_id,
                attempt=staged.attempt,
                ruling=ruling,
                result_sha256=staged.sha256,
                decided_by=DECIDED_BY_POLICY,
                policy_version=self._policy_version,
            ),
            card_id=self._clock.new_id() if asks else None,
            confidence=staged.outcome.confidence if isinstance(staged.outcome, SuccessOutcome) else None,
            skill=staged.skill,
            state_key=staged.state_key if commits_state else None,
            state_version=staged.state_version or 0,
            on_conflict=state_conflict(staged) if commits_state else None,
        )

    def _give_up(self, task: LostTask) -> WaveDecision:
        return WaveDecision(
            decision=Decision(
                task_id=task.task_id,
                attempt=task.attempt,
                ruling=lease_lost(task.attempt),
                result_sha256=b"",
                decided_by=DECIDED_BY_POLICY,
                policy_version=self._policy_version,
            )
        )

    def _output_fault(self, staged: Staged) -> str | None:
        """Why the output does not fit the skill's schema, or None where it does."""
        if not isinstance(staged.outcome, SuccessOutcome):
            return None
        try:
            self._catalogue.skill(staged.skill).check_output(staged.outcome.output)
        except UnknownSkill:
            return "the Judge does not know the skill"
        except ValidationError as exc:
            return describe(exc)
        return None

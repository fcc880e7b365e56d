-- name: lock_wave
-- One decision on a wave after the other.
select state from wave where tenant_id = %(tenant)s and plan_id = %(plan)s and wave_no = %(wave_no)s for update

-- name: lock_plan
-- The plan, so that of two waves that close at the same time the second sees the first.
select state, stop_state from plan where tenant_id = %(tenant)s and plan_id = %(plan)s for update

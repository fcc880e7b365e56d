"""The times that processes agree on, in seconds; those between the database's rows are taken by the database's clock.

How often agents beat is in agent.py, how long refused attempts are counted together in models/audit/access.py.
"""

# Leases.

# A task's lease lasts 15 s, unless it is renewed. That of an agent whose process died is taken back at once.
LEASE_SECONDS = 15.0
# A planner's lease lasts 8 s, and is taken back only when that time is over.
PLANNING_LEASE_SECONDS = 8.0
# The holder of a lease renews it every second. Quick batches are over before the first renewal.
RENEW_SECONDS = 1.0
# An agent of which no beat comes is alive if it renewed its lease within the last 1.6 s: beats go through Redis,
# renewals do not.
QUIET_SECONDS = 1.6
# A task's lease that has run out is left alone for 3 s more: after PostgreSQL was away, its agent renews it before
# anybody takes it.
LEASE_GRACE_SECONDS = 3.0

# What the sweep looks at, and when.

# A quick wave takes 1.5 s: the sweep looks at a wave in flight that nobody touched for longer.
UNTOUCHED_SECONDS = 1.5
# The sweep looks at it again after 0.8 s, where nothing of it was sent.
LOOK_AGAIN_SECONDS = 0.8
# The same for a wave that waits for a skill which no agent has.
LOOK_FOR_SKILL_SECONDS = 3.0
# An agent that gave a message back for lack of a skill rests for 0.1 s: others take the next ones meanwhile.
GIVE_BACK_SECONDS = 0.1
# A planner's message takes up to 2 s: the sweep does not look at what waits for one earlier.
PLANNER_MESSAGE_SECONDS = 2.0
# A process that takes a wave to send it has 3 s; then another process takes it.
SENDER_SECONDS = 3.0

# When a message counts as lost, and is sent again.

# A wave's, where the tenant's queue is empty: then it cannot be waiting behind others.
LOST_SECONDS = 3.0
# Any other. A wave's wait doubles with each sending, so that what is still in the broker's queue behind others is not
# sent over and over; it doubles at most 6 times.
RESEND_SECONDS = 10.0
RESEND_DOUBLINGS = 6
# A replan hook that failed is asked again after 2 s: what it calls may be back by then.
HOOK_AGAIN_SECONDS = 2.0

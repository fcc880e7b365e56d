"""The times that processes agree on, in seconds; those between the database's rows are taken by the database's clock.

How often agents beat is in agent.py, how long refused attempts are counted together in models/audit/access.py.
"""

# Leases.

# A task's lease lasts so long, unless it is renewed. That of an agent whose process died is taken back at once.
LEASE_SECONDS = 15.0
# A planner's lasts so long, and is taken back by its time alone.
PLANNING_LEASE_SECONDS = 8.0
# Who holds a lease renews it this often. Quick batches are over before the first time.
RENEW_SECONDS = 1.0
# An agent of which no beat comes is alive where it renewed its lease within so long: beats go through Redis, renewals
# do not.
QUIET_SECONDS = 1.6
# A task's lease that has just run out is left alone so much longer: after PostgreSQL was away, its agent renews it
# before anybody takes it.
LEASE_GRACE_SECONDS = 3.0

# What the sweep looks at, and when.

# A quick wave takes so long: one in flight that nobody touched for longer is looked at.
UNTOUCHED_SECONDS = 1.5
# And again after so long, where nothing of it was sent.
LOOK_AGAIN_SECONDS = 0.8
# The same for a wave that waits for a skill which no agent has.
LOOK_FOR_SKILL_SECONDS = 3.0
# A wave with results of a skill that a Judge lacked is judged again after so long; later, after as long again as it has
# waited, up to this.
LEFT_SECONDS = 1.5
LEFT_LONGEST_SECONDS = 15.0
# An agent that gave a message back for lack of a skill rests so long: those that have it take the next ones meanwhile.
GIVE_BACK_SECONDS = 0.1
# A planner's message takes so long: what waits for one is not looked at earlier.
PLANNER_MESSAGE_SECONDS = 2.0
# Who takes a wave to send it has so long for it; then another takes it.
SENDER_SECONDS = 3.0

# When a message counts as lost, and is sent again.

# A wave's, where the tenant's queue is empty: then it cannot be waiting behind others.
LOST_SECONDS = 3.0
# Any other. A wave's wait doubles with each sending, so that what is still in the broker's queue behind others is not
# sent over and over; so many times at most.
RESEND_SECONDS = 10.0
RESEND_DOUBLINGS = 6
# A replan hook that failed is asked again after so long: what it calls may be back by then.
HOOK_AGAIN_SECONDS = 2.0

"""A client of the swarm in a process of its own, since its failpoints may end it: `client ACTION TENANT`."""

import sys

from chimera import Chimera
from chimera.bootstrap import load_user_code
from tests.chaos.case import Case, submit


def main(action: str, tenant: str) -> None:
    load_user_code()
    chimera = Chimera()
    plan = submit(chimera, Case.of(tenant))  # the key of its first time returns the plan that is there
    if action == "cancel":
        plan.cancel()
    if action == "approve":
        reviews = chimera._services.reviewing.reviews
        for card in plan.reviews():
            reviews.approve(card, "ann")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Servers and processes of a stack on one machine: PostgreSQL, Valkey, and what the Procfile names."""

from chimera.adapters.embedded.account import Account
from chimera.adapters.embedded.deaths import Death, read_deaths
from chimera.adapters.embedded.servers import EmbeddedServers
from chimera.adapters.embedded.stack import RunningStack, running_stack, stop_stack
from chimera.adapters.embedded.supervisor import Supervisor

__all__ = [
    "Account",
    "Death",
    "EmbeddedServers",
    "RunningStack",
    "Supervisor",
    "read_deaths",
    "running_stack",
    "stop_stack",
]

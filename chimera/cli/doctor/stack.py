"""The embedded stack of this data folder."""

from collections.abc import Iterator

from chimera.cli.doctor.finding import Finding, Status


def stack(name: str) -> Iterator[Finding]:
    """Whether an embedded stack runs."""
    from chimera.adapters.embedded import running_stack
    from chimera.settings import data_dir

    stack = running_stack()
    if stack is None:
        yield Finding(name, Status.OK, f"no embedded stack runs on {data_dir()}")
    else:
        yield Finding(name, Status.OK, f"runs on {stack.data_dir} (process {stack.pid})")

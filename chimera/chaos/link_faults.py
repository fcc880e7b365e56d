"""Faults of the links between processes and servers."""

from chimera.chaos.faults import Fault, Registry


class _OnLink(Fault):
    """A fault of one link."""

    @property
    def link(self) -> str:
        """Its name."""
        return self.choose(sorted(self.world.links))

    def heal(self) -> None:
        self.world.links[self.link].heal()


@Registry.of("link_slow")
class Slow(_OnLink):
    """Every chunk takes 100 to 500 ms more, each way."""

    def inject(self) -> None:  # noqa: D102
        self.world.links[self.link].slow(0.1 + 0.4 * self.draw.dose)


@Registry.of("link_cut")
class Cut(_OnLink):
    """All its connections are reset."""

    def inject(self) -> None:  # noqa: D102
        self.world.links[self.link].cut()

    def heal(self) -> None:
        """New connections go through at once."""


@Registry.of("reply_dropped")
class ReplyDropped(_OnLink):
    """The next reply is cut off, at its beginning or after some bytes."""

    def inject(self) -> None:  # noqa: D102
        self.world.links[self.link].drop_reply(int(self.draw.dose * 20) if self.draw.dose > 0.5 else 0)

    def heal(self) -> None:
        """It waits for a reply to drop."""


@Registry.of("partition")
class Partition(_OnLink):
    """Nothing passes."""

    def inject(self) -> None:  # noqa: D102
        self.world.links[self.link].part()

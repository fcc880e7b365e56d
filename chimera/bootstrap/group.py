"""A group of services: those that are used together, made when they are first used."""

from chimera.bootstrap.adapters import Adapters
from chimera.models.work.catalogue import Catalogue
from chimera.ports.clock import Clock
from chimera.settings import Settings


class Group:
    """What services of every group are made of."""

    def __init__(self, adapters: Adapters, settings: Settings, catalogue: Catalogue, clock: Clock) -> None:
        self._adapters = adapters
        self._settings = settings
        self._catalogue = catalogue
        self._clock = clock

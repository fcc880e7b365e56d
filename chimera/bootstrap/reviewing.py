"""What reviewers use."""

from functools import cached_property

from chimera.bootstrap.group import Group
from chimera.services.calibration_report import CalibrationReports
from chimera.services.output_schemas import OutputSchemas
from chimera.services.review_service import ReviewService


class Reviewing(Group):
    """Has people decide, and tells what their decisions say; roles app and review."""

    @cached_property
    def reviews(self) -> ReviewService:
        """Cards and people's decisions; roles app and review."""
        limit = self._settings.max_output_bytes
        return ReviewService(
            self._adapters.reviews, self._adapters.cards, OutputSchemas(self._adapters.skills), max_output_bytes=limit
        )

    @cached_property
    def calibration(self) -> CalibrationReports:
        """What confidences are worth; role app."""
        return CalibrationReports(self._adapters.verdicts)

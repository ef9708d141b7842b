"""What a study shows, as one page, with its data and images (`robdsl analyze`)."""

from robdsl.viz.report.images import ImagesError as ImagesError
from robdsl.viz.report.write import Written as Written
from robdsl.viz.report.write import write_report as write_report

__all__ = ["ImagesError", "Written", "write_report"]

"""What exists: the videos of each split, their labels, the names of the classes. One file a data set."""

from vivit.data.catalogue.catalogue import Catalogue, Mirror, Split
from vivit.data.catalogue.class_folders import ClassFolders
from vivit.data.catalogue.csv_files import CsvFiles
from vivit.data.catalogue.motion import Motion

__all__ = ["Catalogue", "ClassFolders", "CsvFiles", "Mirror", "Motion", "Split"]

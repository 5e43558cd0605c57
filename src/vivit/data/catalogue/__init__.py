"""What exists: the videos of each split, their labels, the names of the classes. One file a data set."""

from vivit.data.catalogue.catalogue import Catalogue, Census, Mirror, Split
from vivit.data.catalogue.class_folders import ClassFolders
from vivit.data.catalogue.csv_files import CsvFiles
from vivit.data.catalogue.csv_folds import CsvFolds
from vivit.data.catalogue.epic_kitchens import EpicPictures, EpicVideos
from vivit.data.catalogue.kinetics import Kinetics
from vivit.data.catalogue.moments import Moments
from vivit.data.catalogue.motion import Motion
from vivit.data.catalogue.ssv2 import SomethingSomething

__all__ = [
    "Catalogue",
    "Census",
    "ClassFolders",
    "CsvFiles",
    "CsvFolds",
    "EpicPictures",
    "EpicVideos",
    "Kinetics",
    "Mirror",
    "Moments",
    "Motion",
    "SomethingSomething",
    "Split",
]

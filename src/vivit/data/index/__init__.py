"""The index of a data set: its pieces, how they are made, and transcoded copies."""

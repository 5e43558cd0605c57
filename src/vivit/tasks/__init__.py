"""Build what a configuration describes, and run it: the only room that reads configurations. One command a file."""

"""What is raised about a video that cannot be read."""


class VideoError(ValueError):
    """A video that cannot be read; the message names the file and the reason."""

    def __init__(self, path: str, reason: str = "") -> None:
        # torch builds the error of a worker anew from its whole text; without the default it would be a RuntimeError
        super().__init__(f"{path}: {reason}" if reason else path)
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.path, self.reason)

"""Objects as help texts: Hydra 1.3 passes one to argparse, which refuses them from Python 3.14 on."""

import argparse


def allow_lazy_help() -> None:
    """Make argparse check only help texts that are text.

    From 3.14 on it checks each when its option is added. That of Hydra's ``--shell-completion`` is an object, which is
    text only when it is printed, so that every command would end before it reads its arguments. Does nothing in older
    Pythons.
    """
    check = getattr(argparse.ArgumentParser, "_check_help", None)
    if check is None:
        return

    def check_text(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
        if isinstance(action.help, str):
            check(parser, action)

    argparse.ArgumentParser._check_help = check_text  # type: ignore[attr-defined]

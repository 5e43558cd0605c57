"""Commands start although Hydra passes argparse a help text that is none, which Python 3.14 refuses."""

import argparse
import sys
from typing import Any

import pytest
from hydra._internal.utils import get_args_parser

from vivit.launch.command_line import begin


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check help texts as Python 3.14 does when an option is added."""
    add_argument = argparse.ArgumentParser.add_argument

    def check_help(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
        try:
            if action.help and "%" in action.help:
                action.help % vars(action)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError("badly formed help string") from error

    def add(parser: Any, *words: Any, **options: Any) -> argparse.Action:
        action = add_argument(parser, *words, **options)
        parser._check_help(action)
        return action

    monkeypatch.setattr(argparse.ArgumentParser, "_check_help", check_help, raising=False)
    monkeypatch.setattr(argparse.ArgumentParser, "add_argument", add)
    monkeypatch.setattr(sys, "argv", ["train.py"])


def test_hydra_alone_is_refused() -> None:
    """Where this fails, Hydra has been mended and ``vivit.launch.lazy_help`` can go."""
    with pytest.raises(ValueError, match="badly formed"):
        get_args_parser()


def test_hydra_reads_arguments_after_a_command_has_begun() -> None:
    begin("train")
    assert get_args_parser().parse_args(["seed=1"]).overrides == ["seed=1"]


def test_texts_are_checked_as_before() -> None:
    begin("train")
    with pytest.raises(ValueError, match="badly formed"):
        argparse.ArgumentParser().add_argument("--share", help="in %(unit)s")

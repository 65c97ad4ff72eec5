"""What the commands of `wetread` have in common: which configuration they read."""

import os
from pathlib import Path
from typing import Annotated

import typer

from node.config import Settings, load_settings

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="a wetread.toml; else WETREAD_CONFIG, ./wetread.toml")
]


def use_settings(config_file: Path | None) -> Settings:
    """The settings of this command and of every process that it starts. Raises ConfigError like `load_settings`."""
    if config_file is not None:
        os.environ["WETREAD_CONFIG"] = str(config_file.absolute())
    return load_settings()

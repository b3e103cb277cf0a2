"""The config tree, and reading it from files and words."""

from raygan.config.load import dump_config, load_config
from raygan.config.section import Section
from raygan.config.source import preset_names
from raygan.config.tree import Config

__all__ = ["Config", "Section", "dump_config", "load_config", "preset_names"]

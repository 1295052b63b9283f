"""The configuration of a run: data, network and training."""

from grokinterp.config.run import RunConfig, build_model, check_path, config_paths, field_value
from grokinterp.config.training import TrainConfig

__all__ = ["RunConfig", "TrainConfig", "build_model", "check_path", "config_paths", "field_value"]

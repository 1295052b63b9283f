"""Callbacks for training. W&B and TensorBoard are imported only when their callback is made."""

from grokinterp.tracking.base import Callback
from grokinterp.tracking.tensorboard import TensorBoardCallback
from grokinterp.tracking.wandb import WandbCallback

__all__ = ["Callback", "TensorBoardCallback", "WandbCallback"]

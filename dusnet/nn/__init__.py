"""The networks of DUS-Net and what they are trained with."""

from dusnet.nn.down_net import DownNet
from dusnet.nn.noise_gen import NoiseGen
from dusnet.nn.up_net import UpNet

__all__ = ["DownNet", "NoiseGen", "UpNet"]

"""The paper's method: Noise-Gen, Down-Net and Up-Net, trained on the part."""

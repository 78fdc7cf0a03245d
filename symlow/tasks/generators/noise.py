"""Noise of inputs, white or smooth, with a strength that does not depend on the time step."""

from __future__ import annotations

import math

import numpy as np

from symlow.arrays import FloatArray


def white_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float, dt: float) -> FloatArray:
    """Return white noise: independent Gaussians of variance sigma^2 / dt, whose sum times dt has variance sigma^2 T."""
    return rng.standard_normal(shape) * (sigma / math.sqrt(dt)) if sigma else np.zeros(shape)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int, int], sigma: float, correlation_time: float, dt: float
) -> FloatArray:
    """Return a stationary Gaussian process along the second axis, variance sigma^2.

    Its autocorrelation is exp(-t^2 / (2 correlation_time^2)): white noise seen through a Gaussian window.

    Args:
        rng: source of random numbers.
        shape: (batch, steps, channels).
        sigma: standard deviation.
        correlation_time: in units of time.
        dt: time step.
    """
    # The window exp(-(t / correlation_time)^2) is below 1e-15 of its peak beyond 6 correlation times.
    reach = max(1, math.ceil(6 * correlation_time / dt))
    window = np.exp(-((np.arange(-reach, reach + 1) * dt / correlation_time) ** 2))
    window /= np.linalg.norm(window)
    batch, steps, channels = shape
    length = steps + 2 * reach
    white = rng.standard_normal((batch, length, channels))
    # A circular convolution, of which the part is kept that the window does not wrap around.
    spectrum = np.fft.rfft(white, axis=1) * np.fft.rfft(window, length)[None, :, None]
    return sigma * np.fft.irfft(spectrum, length, axis=1)[:, 2 * reach :]

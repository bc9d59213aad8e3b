"""The engine of compiled training steps on a CPU, built with Numba."""

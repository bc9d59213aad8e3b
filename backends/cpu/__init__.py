"""The engine of compiled steps on a CPU, made with Numba."""

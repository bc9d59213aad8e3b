"""CUDA: kernels, cuBLAS, streams and graphs."""

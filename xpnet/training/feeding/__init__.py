"""Data onto the device: placed as a whole or streamed, and the batches of them."""

"""Move data to the device, as a whole or as a stream, and take batches from them."""

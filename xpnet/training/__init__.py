"""Training: checks, the memory plan, data on the device, steps, epochs, the history."""

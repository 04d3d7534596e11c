"""A simulated world around the real engine: time, disk, network, machines, and what befalls them."""

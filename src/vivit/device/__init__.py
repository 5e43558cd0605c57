"""What is measured of a device: time, memory, its rate of matrix products. It needs torch alone."""

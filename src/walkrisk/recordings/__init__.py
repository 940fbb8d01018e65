"""Device file -> Recording: reading, calibration, wear, placement and the clocks of two sensors."""

"""Statistics of a binary classifier: measures, intervals, tests, calibration, sample sizes."""

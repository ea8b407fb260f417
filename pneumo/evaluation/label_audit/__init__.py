"""The label audit: images outside the test set whose label a person should look at."""

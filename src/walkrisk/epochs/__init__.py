"""Recording -> classified epochs: windows, features, activity, cadence and speed class."""

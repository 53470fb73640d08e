"""What a trained run is worth: measures, figures and the report."""

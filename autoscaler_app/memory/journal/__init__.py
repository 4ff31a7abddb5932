"""The reports of passes: the newest as they were made, older ones packed, the oldest thinned out."""

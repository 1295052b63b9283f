"""What a sweep shows: the phase of every run and cell, as figures and pages."""

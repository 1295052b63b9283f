"""How results look: colours, labels, HTML pages."""

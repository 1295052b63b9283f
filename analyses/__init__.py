"""One file, one question of the papers: ``compute`` gives labelled data, ``plot_*`` a figure.

Modules are imported by name (``from analyses import phases``); importing the package loads none.
"""

"""The accuracies used as thresholds, each named for what it decides.

Examples:
    >>> from analyses.statistics import thresholds as t
    >>> t.NOT_MEMORISED_TO < t.GENERALISED_FROM < t.FLAWLESS_FROM
    True
"""

GENERALISED_FROM = 0.9  # a network with this test accuracy has generalised
NOT_MEMORISED_TO = 0.1  # wrong labels with at most this accuracy are not memorised
NOT_GENERALISED_BELOW = 0.1  # a network with less than this has not generalised at all
TIMED_AT = 0.99  # a set is learned when its accuracy reaches this and stays there
FLAWLESS_FROM = 0.999  # train and test accuracy of a network that counts as an example of grokking

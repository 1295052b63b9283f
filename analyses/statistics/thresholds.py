"""The accuracies that decide something, each under the name of what it decides."""

GENERALISED_FROM = 0.9  # a network with this test accuracy has generalised
NOT_MEMORISED_TO = 0.1  # wrong labels with at most this accuracy are not memorised
NOT_GENERALISED_BELOW = 0.1  # and one with less than this has not generalised at all
TIMED_AT = 0.99  # a set is learned at the step at which accuracy reaches this and stays there
FLAWLESS_FROM = 0.999  # a network with these accuracies is an example of grokking to start from

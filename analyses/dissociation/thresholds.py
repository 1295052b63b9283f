"""What decides a verdict on dissociation. Set before any network of the experiment was trained."""

# A network does both if it generalises and knows most of the wrong labels that it was shown.
TEST_FROM = 0.95
CHANGED_FROM = 0.8
# A dissociation counts from this selectivity on: what is lost of the one ability, less what is
# lost of the other, each as a share of what there was to lose.
SELECTIVE_FROM = 0.5

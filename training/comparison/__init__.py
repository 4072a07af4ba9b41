"""`python -m training run`: the paper's methods compared on one experiment."""

"""Version views: plain Feast feature views whose source knows the versions behind them."""

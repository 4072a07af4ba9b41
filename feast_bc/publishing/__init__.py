"""Publishing a version: measuring how near its chain comes, and what may be activated."""

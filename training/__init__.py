"""The embedding team's reference pipeline: from interactions to published embedding versions."""

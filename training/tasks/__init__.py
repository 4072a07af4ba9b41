"""What vectors are judged by: the intended ranking, and the consumers' unintended tasks."""

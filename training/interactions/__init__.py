"""Who bought what and when: files read, histories and time windows cut."""

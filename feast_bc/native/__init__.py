"""Reading the native rows of one embedding version from its batch source."""
